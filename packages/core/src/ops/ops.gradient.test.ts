import * as core from '../index.ts';
import {
  evaluate,
  record,
  ShapeError,
  tensor,
  type HostTensor,
  type OpDefinition,
  type Value,
} from '@rwkv-js/tensor';
import { expectGradients, seededTensor } from '@rwkv-js/testing';
import { describe, expect, test } from 'vitest';
import { add } from './add.ts';
import { concat } from './concat.ts';
import { crossEntropy } from './cross-entropy.ts';
import { exp } from './exp.ts';
import { l2Normalize } from './l2-normalize.ts';
import { linear } from './linear.ts';
import { multiply } from './multiply.ts';
import { reshape } from './reshape.ts';
import { slice } from './slice.ts';
import { tanh } from './tanh.ts';

const x = (...shape: number[]): HostTensor => seededTensor(1, ...shape);
const y = (...shape: number[]): HostTensor => seededTensor(2, ...shape);
const indexes = (...values: number[]): HostTensor => tensor([values.length], values, 'i32');

/**
 * What the conformance cases of an operation do not show, whose gradients are all held to finite
 * differences (packages/testing/src/conformance/gradient-cases.gradient.test.ts).
 */
const cases: readonly [
  name: string,
  build: (...values: Value[]) => Value | readonly Value[],
  arrays: readonly HostTensor[],
][] = [
  ['add to a column', (a, b) => add(a!, b!), [x(2, 3, 1), y(2, 3, 4)]],
  ['add of both ways', (a, b) => add(a!, b!), [x(3, 1), y(2, 1, 4)]],
  ['add of a number', (a, b) => add(a!, b!), [x(3, 4), y()]],
  ['add of a value to itself', (a) => add(a!, a!), [x(3, 4)]],
  ['multiply by a row', (a, b) => multiply(a!, b!), [x(1, 4), y(2, 3, 4)]],
  ['multiply of a value by itself', (a) => multiply(a!, a!), [x(3, 4)]],
  ['reshape', (a) => exp(reshape(a!, { shape: [4, 3] })), [x(2, 6)]],
  ['slice of an inner axis', (a) => slice(a!, { axis: 1, start: 0, end: 2 }), [x(2, 5, 3)]],
  ['concat', (a, b) => concat([a!, b!, a!], { axis: 1 }), [x(2, 3), y(2, 4)]],
  ['l2Normalize', (a) => l2Normalize(a!), [x(3, 2, 4)]],
  ['linear of one token to one channel', (a, b) => linear(a!, b!), [x(1, 3), y(1, 3)]],
  [
    'crossEntropy',
    (a: Value, b: Value) => crossEntropy(a, b, { l2Wrap: 0 }),
    [x(4, 5), indexes(2, -1, 0, 4)],
  ],
];

describe('the gradient of', () => {
  test.each(cases)('%s agrees with finite differences', async (_, build, arrays) => {
    await expectGradients(build, arrays);
  });

  test('a value that is used several times is the sum over its uses', async () => {
    await expectGradients(
      (a, b) => [multiply(exp(a!), a!), linear(a!, b!), tanh(a!)],
      [x(3, 3), y(3, 3)],
    );
  });
});

test('l2Normalize sends back finite numbers from a vector of zeros', async () => {
  await using device = core.openCpu({ precision: 'f64' });
  const [dx] = await evaluate(
    device,
    (a, b) => [core.l2NormalizeBackward(a!, b!)],
    tensor([2], [0, 0]),
    tensor([2], [1, -2]),
  );
  expect([...dx!.data]).toEqual([1e12, -2e12]);
});

test('crossEntropy of rows that are all masked is 0, and so is its gradient', async () => {
  await using device = core.openCpu();
  const [loss, gradient] = await evaluate(
    device,
    (logits, targets, one) => [
      crossEntropy(logits!, targets!, { l2Wrap: 1e-4 }),
      core.crossEntropyBackward(logits!, targets!, one!, { l2Wrap: 1e-4 }),
    ],
    x(2, 3),
    indexes(-1, -1),
    tensor([], [1]),
  );
  expect([...loss!.data]).toEqual([0]);
  expect([...gradient!.data]).toEqual([0, 0, 0, 0, 0, 0]);
});

test('crossEntropy draws the first of the largest logits towards 0 in its gradient alone', async () => {
  await using device = core.openCpu({ precision: 'f64' });
  const run = async (l2Wrap: number) =>
    evaluate(
      device,
      (logits, targets, share) => [
        crossEntropy(logits!, targets!, { l2Wrap }),
        core.crossEntropyBackward(logits!, targets!, share!, { l2Wrap }),
      ],
      tensor([3, 3], [1, 4, 4, -2, -3, -5, 7, 8, 9]),
      indexes(0, 2, -1),
      tensor([], [0.5]),
    );
  const [[loss, plain], [same, drawn]] = [await run(0), await run(0.1)];
  expect(same!.data).toEqual(loss!.data);
  // A tenth of the logit, times the cotangent, for two targets; the masked row stays at 0.
  const more = [...drawn!.data].map((flow, i) => flow - plain!.data[i]!);
  const expected = [0, (0.1 * 4 * 0.5) / 2, 0, (0.1 * -2 * 0.5) / 2, 0, 0, 0, 0, 0];
  more.forEach((flow, i) => expect(flow).toBeCloseTo(expected[i]!, 12));
});

test('scatterRows adds rows of one index in their order', async () => {
  await using device = core.openCpu();
  const [table] = await evaluate(
    device,
    (rows, places) => [core.scatterRows(rows!, places!, { rows: 3 })],
    // Rounded to single precision after each, 1e8 + 1 − 1e8 is 0 in this order and 1 in another.
    tensor([4, 1], [1e8, 1, -1e8, 5]),
    indexes(2, 2, 2, -1),
  );
  expect([...table!.data]).toEqual([0, 0, 0]);
});

const misshapen: readonly [string, (...values: Value[]) => unknown, HostTensor[], RegExp][] = [
  ['sumTo', (a) => core.sumTo(a!, { shape: [3] }), [x(2, 4)], /\[3\] must broadcast/],
  ['pad', (a) => core.pad(a!, { axis: 0, start: 2, size: 3 }), [x(2)], /fit from 2 into 3/],
  [
    'scatterRows',
    (a, b) => core.scatterRows(a!, b!, { rows: 3 }),
    [x(2, 3), indexes(1)],
    /i32\[2\]/,
  ],
  ['reluBackward', (a, b) => core.reluBackward(a!, b!), [x(2), y(3)], /the same shape/],
  [
    'crossEntropy',
    (a, b) => crossEntropy(a!, b!, { l2Wrap: 0 }),
    [x(2, 3), y(2)],
    /targets must be i32\[2\]/,
  ],
  ['clipByNorm', (a, b) => core.clipByNorm(a!, b!, { limit: 0 }), [x(2), y()], /above 0/],
  [
    'tokenShiftBackward',
    core.tokenShiftBackward as never,
    [x(4, 3), y(1, 2), indexes(0, 4)],
    /state/,
  ],
  [
    'wkv7Backward',
    core.wkv7Backward as never,
    [x(7, 4, 2), y(1, 1, 2, 2), indexes(0, 4), y(2, 1, 2, 2)],
    /stateCotangent must have the shape of state/,
  ],
  [
    'wkv6Backward',
    core.wkv6Backward as never,
    [x(4, 4, 2), x(1, 2), y(1, 1, 2, 2), indexes(0, 4), y(1, 1, 2, 2)],
    /rows must be \[5, tokens, width\]/,
  ],
];

test.each(misshapen)('%s refuses what does not fit', (_, build, arrays, message) => {
  const recording = (): unknown =>
    record('misshapen', (g) => {
      build(...arrays.map((array, i) => g.input(`input${i}`, array)));
      return {};
    });
  expect(recording).toThrow(ShapeError);
  expect(recording).toThrow(message);
});

test('every operation has a gradient or a lowering, but those that end training', () => {
  const without = Object.values(core)
    .flatMap((value) => {
      const definition = (value as { definition?: OpDefinition }).definition;
      return definition && !definition.gradient && !definition.lower ? [definition.name] : [];
    })
    .filter((name) => !name.endsWith('Backward'));
  expect(without.toSorted()).toEqual([
    'adamW',
    'clipByNorm',
    // Stands for gatherRows in a plan, after gradients were recorded.
    'gatherRowsOfPart',
    'keepDrawn',
    'pad',
    'resolveTokens',
    'sample',
    'scatterRows',
    'sqrt',
    'sumOfSquares',
    'sumTo',
  ]);
});
