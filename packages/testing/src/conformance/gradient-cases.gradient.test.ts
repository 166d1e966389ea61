import * as core from '@rwkv-js/core';
import { idealKernels, plan, tensor, type HostTensor, type OpDefinition } from '@rwkv-js/tensor';
import { describe, expect, test } from 'vitest';
import { centralDifference, dot, expectSlope, spreadPlaces } from '../finite-differences.ts';
import { input, type ConformanceCase } from './case.ts';
import { gradientCaseOf, gradientCases } from './gradient-cases.ts';
import { prepareCase, programOf, runCase } from './run-case.ts';

const all = gradientCases();

/** Operations whose gradient is on purpose not the slope of what they give, and why. */
const notTheSlope: Readonly<Record<string, string>> = {
  crossEntropy: 'its gradient draws the largest logit towards 0 besides',
  quantize: 'training goes through it as if nothing was rounded',
  wkv4: 'its running maximum is held constant; recurrences.gradient.test.ts holds its sums',
};

/** The case in double precision, so that small steps show. */
function inDoubles(one: ConformanceCase): ConformanceCase {
  const widen = (of: HostTensor): HostTensor =>
    of.dtype === 'f32' ? { ...of, data: Float64Array.from(of.data) } : of;
  return {
    ...one,
    tensors: one.tensors.map(({ role, tensor: of }) => ({
      role: role === 'parameter' ? 'input' : role,
      tensor: widen(of),
    })),
  };
}

describe('the gradients of the conformance cases, on the oracle', () => {
  const rounds = (one: ConformanceCase): boolean =>
    programOf(one).operations.some(({ attributes }) => attributes['quantized']);
  const cases = all
    .filter(({ one }) => !(one.op in notTheSlope) && !rounds(one))
    .map(({ one }) => [`${one.op}: ${one.name}`, one] as const);

  test.each(cases)('%s: agree with finite differences', async (_, original) => {
    const { one, program, cotangents, wrt } = gradientCaseOf(inDoubles(original))!;
    await using device = core.openCpu({ precision: 'f64' });
    const found = await runCase(device, one, program, cotangents);
    const forward = await prepareCase(device, one);
    const loss = async (): Promise<number> => {
      const results = await forward.run();
      return Object.entries(cotangents).reduce(
        (sum, [name, cotangent]) =>
          sum + dot(results.get(name.slice('cotangent.'.length))!, cotangent),
        0,
      );
    };
    for (const place of wrt) {
      const { data, shape } = one.tensors[place]!.tensor;
      const gradient = found.get(`gradient.tensor${place}`)!;
      expect(gradient.length).toBe(data.length);
      for (const index of spreadPlaces(shape, 4)) {
        const slope = await centralDifference(loss, data, index);
        expectSlope(gradient[index]!, slope, `tensor ${place}, element ${index}`);
      }
    }
  });
});

test('every operation that has a gradient or a lowering is among them', () => {
  const differentiable = Object.values(core).flatMap((value) => {
    const definition = (value as { definition?: OpDefinition }).definition;
    return definition && (definition.gradient || definition.lower) ? [definition.name] : [];
  });
  const covered = new Set(all.map(({ one }) => one.op));
  // Nothing flows back through zeros.
  expect(differentiable.filter((name) => !covered.has(name))).toEqual(['zerosLike']);
});

test('operations without a gradient, weights of 16 bits and large tensors are left out', () => {
  const one = (build: ConformanceCase['build'], of: HostTensor): unknown =>
    gradientCaseOf({
      op: 'any',
      name: 'any',
      tolerance: 'sums',
      tensors: [input(of)],
      build,
      updates: [],
    });
  const x = tensor([2, 2], [1, 2, 3, 4]);
  expect(one((value) => [core.exp(value!)], x)).toBeDefined();
  expect(one((value) => [core.sqrt(value!)], x)).toBeUndefined();
  expect(one((value) => [core.exp(value!)], tensor([2], [0, 0], 'f16'))).toBeUndefined();
  expect(
    one((value) => [core.exp(value!)], tensor([12_001], new Float32Array(12_001))),
  ).toBeUndefined();
});

test('a gradient comes back to every weight and every state of the block', () => {
  const { one, wrt } = all.find(({ one: { op } }) => op === 'RWKV-7 block')!;
  const floats = one.tensors.flatMap(({ tensor: { dtype } }, i) => (dtype === 'f32' ? [i] : []));
  expect(wrt).toEqual(floats);
});

test('all but those of wkv4 are planned for a device that binds ten buffers to a kernel', () => {
  for (const { one, program } of all) {
    if (one.op === 'wkv4') expect(() => plan(program, idealKernels)).toThrow(/takes 12 buffers/);
    else expect(() => plan(program, idealKernels)).not.toThrow();
  }
});
