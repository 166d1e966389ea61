import { openCpu } from '@rwkv-js/core';
import {
  allocateStates,
  declared,
  elementCount,
  gradients,
  idealKernels,
  plan,
  viewBytes,
  type Device,
  type Executable,
  type HostArray,
  type Program,
  type States,
} from '@rwkv-js/tensor';
import {
  centralDifference,
  dot,
  expectSlope,
  seededNumbers,
  specificationModels,
  specificationWeights,
  spreadPlaces,
  type SpecificationModel,
} from '@rwkv-js/testing';
import { describe, expect, test } from 'vitest';
import { readConfig } from './config.ts';
import { recordStep } from './frame.ts';

type Version = SpecificationModel['version'];

/** Sequences of 4, 0, 1 and 2 tokens, one row of padding, and a row of logits that nobody wants. */
const batch = {
  tokens: [1, 7, 7, 0, 11, 4, 2, 0],
  offsets: [0, 4, 4, 5, 7],
  logitRows: [3, 1, -1, 4, 6],
  targets: [2, 5, -1, 0, -1],
};
const slots = batch.offsets.length - 1;

const isOfSequences = (name: string): boolean => name.startsWith('state.');
/** wkv4's running maximum, which is held constant. */
const isConstant = (name: string): boolean => name.endsWith('.pp');

function trainable(version: Version, tokens: number, rows: number): Program {
  const source = specificationWeights(version);
  const dtypes = new Map([...source.tensors].map(([name, { dtype }]) => [name, dtype]));
  const config = readConfig(source);
  return recordStep(config, dtypes, { tokens, slots, rows, trainable: true });
}

/** A value for every state: the specification's weights, and sequences that are under way. */
async function startOf(version: Version, program: Program): Promise<Map<string, HostArray>> {
  const source = specificationWeights(version);
  const start = new Map<string, HostArray>();
  let seed = 1;
  for (const [name, spec] of declared(program, 'state')) {
    if (isOfSequences(name)) {
      const numbers = seededNumbers(seed++, elementCount(spec.shape));
      // wkv4's denominator is a sum of exponentials.
      start.set(name, name.endsWith('.bb') ? numbers.map((x) => x + 1.5) : numbers);
    } else {
      start.set(name, Float64Array.from(viewBytes('f32', await source.read(name))));
    }
  }
  return start;
}

function restore(device: Device, states: States, values: ReadonlyMap<string, HostArray>): void {
  for (const [name, data] of values) device.write(states.tensors.get(name)!, data);
}

async function readAll(device: Device, states: States): Promise<Map<string, HostArray>> {
  const names = [...states.tensors.keys()].filter(isOfSequences);
  const found = new Map<string, HostArray>();
  for (const name of names) found.set(name, await device.read(states.tensors.get(name)!));
  return found;
}

async function gradientsOf(
  executable: Executable,
  names: readonly string[],
): Promise<Map<string, HostArray>> {
  const read = await executable.read(...names.map((name) => `gradient.${name}`));
  return new Map(names.map((name) => [name, read[`gradient.${name}`]!]));
}

describe.each(specificationModels)('the gradients of a step of RWKV-$version', ({ version }) => {
  test('agree with finite differences for every weight and every state', async () => {
    await using device = openCpu({ precision: 'f64' });
    const program = trainable(version, batch.tokens.length, batch.logitRows.length);
    const start = await startOf(version, program);
    const wrt = [...start.keys()].filter((name) => !isConstant(name));
    const states = allocateStates(device, [program]);
    restore(device, states, start);
    const backward = await device.compile(gradients(program, { of: ['logits'], wrt }), {
      states: states.tensors,
    });
    const cotangent = seededNumbers(99, batch.logitRows.length * 12);
    backward.run({ ...batch, 'cotangent.logits': cotangent });
    const found = await gradientsOf(backward, wrt);

    const forward = await device.compile(program, { states: states.tensors });
    const loss = async (): Promise<number> => {
      restore(device, states, start);
      forward.run(batch);
      const { logits } = await forward.read('logits');
      return dot(logits, cotangent);
    };
    for (const name of wrt) {
      const elements = start.get(name)!;
      expect(found.get(name)!.length).toBe(elements.length);
      for (const index of spreadPlaces([elements.length], isOfSequences(name) ? 6 : 3)) {
        const slope = await centralDifference(loss, elements, index);
        expectSlope(found.get(name)![index]!, slope, `${name}, element ${index}`);
      }
    }
  });

  test('leave the outputs and the new states as they are without them', async () => {
    await using device = openCpu();
    const program = trainable(version, batch.tokens.length, batch.logitRows.length);
    const start = await startOf(version, program);
    const withGradients = gradients(program, { of: ['loss'], wrt: ['emb.weight'] });
    const results = [];
    for (const each of [program, withGradients]) {
      const states = allocateStates(device, [each]);
      restore(device, states, start);
      const executable = await device.compile(each, { states: states.tensors });
      executable.run({ ...batch, ...(each === program ? {} : { 'cotangent.loss': [1] }) });
      results.push({
        outputs: await executable.read('logits', 'loss'),
        states: await readAll(device, states),
      });
    }
    expect(results[1]).toEqual(results[0]);
  });

  test('are planned for a device that binds ten buffers to a kernel, but those of RWKV-4', () => {
    const program = trainable(version, 64, 64);
    const weights = [...specificationWeights(version).tensors.keys()];
    const backward = gradients(program, { of: ['loss'], wrt: weights, accumulate: true });
    if (version === '4') {
      // Its three states cannot be written in place while the way back reads their old values.
      expect(() => plan(backward, idealKernels)).toThrow(/wkv4 takes 12 buffers/);
    } else {
      expect(plan(backward, idealKernels).calls.length).toBeGreaterThan(program.operations.length);
    }
  });

  test('through two chunks, states handing theirs back, are those of the whole', async () => {
    await using device = openCpu({ precision: 'f64' });
    const whole = trainable(version, 7, 1);
    const start = await startOf(version, whole);
    const names = [...start.keys()].filter((name) => !isConstant(name));
    const ofStates = names.filter(isOfSequences);
    const states = allocateStates(device, [whole]);
    const cotangent = { 'cotangent.logits': seededNumbers(99, 12) };
    const options = { states: states.tensors };

    // A slot with 5 tokens and one with 2. The chunks cut the first; the second has none in the last.
    const inputs = { tokens: [1, 7, 7, 0, 11, 4, 2], offsets: [0, 5, 7, 7, 7], targets: [-1] };
    restore(device, states, start);
    const wholeBackward = await device.compile(
      gradients(whole, { of: ['logits'], wrt: names }),
      options,
    );
    wholeBackward.run({ ...inputs, logitRows: [4], ...cotangent });
    const expected = await gradientsOf(wholeBackward, names);

    const first = { tokens: [1, 7, 7, 4, 2], offsets: [0, 3, 5, 5, 5], targets: [-1] };
    const second = { tokens: [0, 11], offsets: [0, 2, 2, 2, 2], targets: [-1] };
    const firstStep = trainable(version, 5, 1);
    restore(device, states, start);
    const forward = await device.compile(firstStep, options);
    forward.run({ ...first, logitRows: [-1] });
    const secondBackward = await device.compile(
      gradients(trainable(version, 2, 1), { of: ['logits'], wrt: names }),
      options,
    );
    secondBackward.run({ ...second, logitRows: [1], ...cotangent });
    const ofSecond = await gradientsOf(secondBackward, names);

    restore(device, states, start);
    const firstBackward = await device.compile(
      gradients(firstStep, { of: ['logits'], ofStates, wrt: names }),
      options,
    );
    firstBackward.run({
      ...first,
      logitRows: [-1],
      'cotangent.logits': new Float64Array(12),
      ...Object.fromEntries(ofStates.map((name) => [`cotangent.${name}`, ofSecond.get(name)!])),
    });
    const ofFirst = await gradientsOf(firstBackward, names);

    for (const name of names) {
      // A weight is used in both chunks; a state before the first is all that came before.
      const parts = isOfSequences(name) ? [ofFirst] : [ofFirst, ofSecond];
      let worst = 0;
      expected.get(name)!.forEach((gradient: number, i: number) => {
        const sum = parts.reduce((total, part) => total + part.get(name)![i]!, 0);
        worst = Math.max(worst, Math.abs(sum - gradient) / Math.max(1, Math.abs(gradient)));
      });
      expect(worst, name).toBeLessThan(1e-10);
    }
  });
});
