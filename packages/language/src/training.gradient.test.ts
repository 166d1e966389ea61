import { adamW, clipByGlobalNorm, openCpu, zerosLike } from '@rwkv-js/core';
import {
  allocateStates,
  declared,
  f32,
  gradients,
  i32,
  record,
  viewBytes,
  type Device,
  type Executable,
  type HostArray,
  type Program,
  type States,
} from '@rwkv-js/tensor';
import { specificationWeights } from '@rwkv-js/testing';
import { describe, expect, test } from 'vitest';
import { readConfig } from './config.ts';
import { recordStep } from './frame.ts';

const settings = { beta1: 0.9, beta2: 0.99, epsilon: 1e-18, weightDecay: 0.1 };

/** The second program of training: clips what was added up, changes the weights, and begins anew. */
function recordApply(accumulating: Program, names: readonly string[], limit: number): Program {
  const specs = declared(accumulating, 'state');
  return record('apply', (g) => {
    const rate = g.input('rate', f32(1));
    const step = g.input('step', i32(1));
    const sums = names.map((name) => g.state(`gradient.${name}`, specs.get(name)!));
    const { clipped, norm } = clipByGlobalNorm(sums, { limit });
    names.forEach((name, i) => {
      const spec = specs.get(name)!;
      const old = [
        g.state(name, spec),
        g.state(`first.${name}`, spec),
        g.state(`second.${name}`, spec),
      ] as const;
      const next = adamW(old[0], clipped[i]!, old[1], old[2], rate, step, settings);
      old.forEach((state, at) => g.update(state, next[at]!));
      g.update(sums[i]!, zerosLike(sums[i]!));
    });
    return { norm };
  });
}

class Trainer {
  readonly device: Device;
  readonly states: States;
  readonly accumulate: Executable;
  readonly apply: Executable;
  readonly names: readonly string[];

  constructor(
    device: Device,
    states: States,
    accumulate: Executable,
    apply: Executable,
    names: readonly string[],
  ) {
    this.device = device;
    this.states = states;
    this.accumulate = accumulate;
    this.apply = apply;
    this.names = names;
  }

  static async make(device: Device, slots: number, rows: number): Promise<Trainer> {
    const source = specificationWeights('7');
    const shape = { tokens: rows, slots, rows, trainable: true };
    const program = recordStep(readConfig(source), new Map(), shape);
    const names = [...declared(program, 'state').keys()].filter((name) => source.tensors.has(name));
    const accumulating = gradients(program, { of: ['loss'], wrt: names, accumulate: true });
    const applying = recordApply(accumulating, names, 1);
    const states = allocateStates(device, [accumulating, applying]);
    for (const name of names) {
      device.write(states.tensors.get(name)!, viewBytes('f32', await source.read(name)));
    }
    const options = { states: states.tensors };
    return new Trainer(
      device,
      states,
      await device.compile(accumulating, options),
      await device.compile(applying, options),
      names,
    );
  }

  /** One run of the accumulating program over whole sequences from the beginning; gives the loss. */
  async feed(sequences: readonly (readonly number[])[], share: number): Promise<number> {
    for (const [name, tensor] of this.states.tensors) {
      if (name.startsWith('state.')) {
        this.device.write(tensor, new Float32Array(tensor.spec.shape.reduce((a, b) => a * b)));
      }
    }
    const tokens = sequences.flatMap((sequence) => sequence.slice(0, -1));
    const offsets = [0];
    for (const sequence of sequences) offsets.push(offsets.at(-1)! + sequence.length - 1);
    this.accumulate.run({
      tokens,
      offsets,
      logitRows: tokens.map((_, row) => row),
      targets: sequences.flatMap((sequence) => sequence.slice(1)),
      'cotangent.loss': [share],
    });
    const { loss } = await this.accumulate.read('loss');
    return loss[0]!;
  }

  async read(names: readonly string[] = [...this.states.tensors.keys()]): Promise<HostArray[]> {
    return Promise.all(names.map((name) => this.device.read(this.states.tensors.get(name)!)));
  }
}

const sequences = [
  [1, 5, 2, 8, 3, 11],
  [4, 4, 9, 0, 7, 10],
];

describe('training by two programs', () => {
  test('learns its sequences by heart', async () => {
    await using device = openCpu();
    const trainer = await Trainer.make(device, 2, 10);
    const losses: number[] = [];
    for (let step = 1; step <= 60; step++) {
      losses.push(await trainer.feed(sequences, 1));
      trainer.apply.run({ rate: [0.01], step: [step] });
    }
    expect(losses[0]).toBeGreaterThan(2);
    expect(losses.at(-1)).toBeLessThan(0.05);
  });

  test('goes on from saved states with the same bits', async () => {
    const saved: HostArray[][] = [];
    for (const interrupt of [false, true]) {
      await using device = openCpu();
      let trainer = await Trainer.make(device, 2, 10);
      for (let step = 1; step <= 4; step++) {
        await trainer.feed(sequences, 1);
        trainer.apply.run({ rate: [0.01], step: [step] });
        if (!interrupt || step !== 2) continue;
        const before = trainer;
        trainer = await Trainer.make(device, 2, 10);
        for (const [name, tensor] of before.states.tensors) {
          device.write(trainer.states.tensors.get(name)!, await device.read(tensor));
        }
      }
      saved.push(await trainer.read());
    }
    expect(saved[1]).toEqual(saved[0]);
  });

  test('adds up the same from parts of a batch as from the whole', async () => {
    await using device = openCpu({ precision: 'f64' });
    const [whole, parts] = [await Trainer.make(device, 2, 10), await Trainer.make(device, 1, 5)];
    const loss = await whole.feed(sequences, 1);
    let sum = 0;
    for (const sequence of sequences) sum += (await parts.feed([sequence], 0.5)) / 2;
    expect(sum).toBeCloseTo(loss, 12);
    const names = whole.names.map((name) => `gradient.${name}`);
    const [expected, found] = [await whole.read(names), await parts.read(names)];
    expected.forEach((gradient, at) => {
      let worst = 0;
      gradient.forEach((x: number, i: number) => {
        worst = Math.max(worst, Math.abs(found[at]![i]! - x));
      });
      expect(worst, names[at]).toBeLessThan(1e-12);
    });
  });

  test('clips, steps and begins anew as AdamW is written', async () => {
    await using device = openCpu({ precision: 'f64' });
    const trainer = await Trainer.make(device, 2, 10);
    const gradientNames = trainer.names.map((name) => `gradient.${name}`);
    const moments = trainer.names.map((): [number, number] => [0, 0]);
    for (const step of [1, 2]) {
      await trainer.feed(sequences, 1);
      const sums = await trainer.read(gradientNames);
      const weights = await trainer.read(trainer.names);
      const squares = sums.map((sum) => {
        let total = 0;
        for (const x of sum) total += x * x;
        return total;
      });
      const norm = Math.sqrt(squares.reduce((a, b) => a + b));
      expect(norm).toBeGreaterThan(1);
      trainer.apply.run({ rate: [0.01], step: [step] });
      const read = await trainer.apply.read('norm');
      expect(read.norm[0]).toBeCloseTo(norm, 12);
      const changed = await trainer.read(trainer.names);
      for (const [at, moment] of moments.entries()) {
        // The first element of every tensor.
        const flow = sums[at]![0]! / norm;
        moment[0] = 0.9 * moment[0] + 0.1 * flow;
        moment[1] = 0.99 * moment[1] + 0.01 * flow * flow;
        const first = moment[0] / (1 - 0.9 ** step);
        const second = moment[1] / (1 - 0.99 ** step);
        const expected =
          weights[at]![0]! * (1 - 0.01 * 0.1) - (0.01 * first) / (Math.sqrt(second) + 1e-18);
        expect(changed[at]![0], trainer.names[at]).toBeCloseTo(expected, 12);
      }
      for (const sum of await trainer.read(gradientNames)) {
        expect(sum.every((x: number) => x === 0)).toBe(true);
      }
    }
  });
});
