import { evaluate, tensor, type HostTensor, type Value } from '@rwkv-js/tensor';
import {
  dot,
  expectGradients,
  expectSlope,
  centralDifference,
  seededTensor,
  specificationArray,
} from '@rwkv-js/testing';
import { describe, expect, test } from 'vitest';
import { openCpu } from '../cpu/device.ts';
import { randomBits } from './random.ts';
import { stack, unstack } from './stack.ts';
import { tokenShift } from './token-shift.ts';
import { wkv4Backward } from './wkv4-backward.ts';
import { wkv4 } from './wkv4.ts';
import { wkv5 } from './wkv5.ts';
import { wkv6Backward } from './wkv6-backward.ts';
import { wkv6 } from './wkv6.ts';
import { wkv7Backward } from './wkv7-backward.ts';
import { wkv7 } from './wkv7.ts';

interface Layout {
  readonly offsets: readonly number[];
  readonly tokens: number;
  readonly heads: number;
  readonly headSize: number;
}

const layouts: readonly (readonly [string, Layout])[] = [
  [
    'sequences of 3, 0, 1 and 5 tokens with padding',
    { offsets: [0, 3, 3, 4, 9], tokens: 11, heads: 2, headSize: 3 },
  ],
  [
    'a sequence longer than the chunks of the backward loops',
    { offsets: [0, 35], tokens: 35, heads: 1, headSize: 2 },
  ],
  ['padding alone', { offsets: [0, 0], tokens: 1, heads: 2, headSize: 2 }],
  ...Array.from({ length: 5 }, (_, seed) => [`random layout ${seed}`, randomLayout(seed)] as const),
];

/** 1 to 4 sequences of 0 to 5 tokens, up to 2 rows of padding, 1 to 3 heads of 1 to 5 channels. */
function randomLayout(seed: number): Layout {
  let draws = 0;
  const upTo = (most: number): number => randomBits(seed, 7, draws++) % (most + 1);
  const offsets = [0];
  const slots = 1 + upTo(3);
  for (let slot = 0; slot < slots; slot++) offsets.push(offsets.at(-1)! + upTo(5));
  const tokens = Math.max(1, offsets.at(-1)! + upTo(2));
  return { offsets, tokens, heads: 1 + upTo(2), headSize: 1 + upTo(4) };
}

const indexes = (values: readonly number[]): HostTensor => tensor([values.length], values, 'i32');
const mapped = (from: HostTensor, change: (x: number) => number): HostTensor =>
  tensor(from.shape, Float64Array.from(from.data, change));
/** Decays from 0.1 to 0.9. */
const decays = (seed: number, ...shape: number[]): HostTensor =>
  mapped(seededTensor(seed, ...shape), (x) => 0.5 + 0.4 * x);

/** The gradients of wkv7 by its arguments, then the cotangents of y and state. */
function backward7(...values: Value[]): Value[] {
  const [state, offsets, cotangent, toState] = values.slice(6);
  const [rows, ofState] = wkv7Backward(
    stack([...values.slice(0, 6), cotangent!]),
    state!,
    offsets!,
    toState!,
  );
  return [...unstack(rows), ofState];
}

/** The same of wkv6. */
function backward6(...values: Value[]): Value[] {
  const [bonus, state, offsets, cotangent, toState] = values.slice(4);
  const [rows, ofBonus, ofState] = wkv6Backward(
    stack([...values.slice(0, 4), cotangent!]),
    bonus!,
    state!,
    offsets!,
    toState!,
  );
  return [...unstack(rows), ofBonus, ofState];
}

/** The same of wkv4, which has two states with a cotangent. */
function backward4(...values: Value[]): Value[] {
  const parts = wkv4Backward(
    stack([values[0]!, values[1]!, values[8]!]),
    stack(values.slice(2, 4)),
    stack(values.slice(4, 7)),
    values[7]!,
    stack(values.slice(9)),
  );
  return parts.flatMap((part) => unstack(part));
}

describe.each(layouts)('over %s, the gradient agrees with finite differences:', (_, layout) => {
  const { tokens, heads, headSize } = layout;
  const width = heads * headSize;
  const slots = layout.offsets.length - 1;
  const offsets = indexes(layout.offsets);
  const rows = (seed: number): HostTensor => seededTensor(seed, tokens, width);
  const state = seededTensor(9, slots, heads, headSize, headSize);
  const bonus = seededTensor(8, heads, headSize);
  const call =
    (op: unknown) =>
    (...values: Value[]): readonly Value[] =>
      (op as (...args: Value[]) => readonly Value[])(...values);
  const cases: readonly [string, (...values: Value[]) => readonly Value[], HostTensor[]][] = [
    ['tokenShift', call(tokenShift), [rows(1), seededTensor(2, slots, width), offsets]],
    [
      'wkv5',
      call(wkv5),
      [rows(1), rows(2), rows(3), decays(4, heads, headSize), bonus, state, offsets],
    ],
    [
      'wkv6',
      call(wkv6),
      [rows(1), rows(2), rows(3), decays(4, tokens, width), bonus, state, offsets],
    ],
    [
      'wkv7',
      call(wkv7),
      [
        rows(1),
        decays(2, tokens, width),
        rows(3),
        rows(4),
        mapped(rows(5), (x) => x / 2),
        mapped(rows(6), (x) => x / 2),
        state,
        offsets,
      ],
    ],
  ];
  test.each(cases)('%s, of its rows and its state', async (__, build, arrays) => {
    await expectGradients(build, arrays);
  });
  test.each(cases)('%s, of its rows alone', async (__, build, arrays) => {
    await expectGradients(build, arrays, { outputs: [0], samples: 6 });
  });
  test.each(cases)('%s, of its state alone', async (__, build, arrays) => {
    await expectGradients(build, arrays, { outputs: [1], samples: 6 });
  });

  const sums = wkv4Arrays(tokens, slots, width);
  test('wkv4, of its rows', async () => {
    await expectGradients(call(wkv4), [...sums, offsets], {
      outputs: [0],
      wrt: [0, 1, 2, 3, 4, 5],
    });
  });
  test('wkv4, of what its sums stand for', async () => {
    await expectSumsOfWkv4([...sums, offsets]);
  });
});

/** Arguments of wkv4 but the offsets; slots begin in the middle of a sequence. */
function wkv4Arrays(tokens: number, slots: number, width: number): HostTensor[] {
  return [
    seededTensor(1, tokens, width),
    seededTensor(2, tokens, width),
    mapped(seededTensor(3, width), (x) => -0.6 + 0.5 * x),
    seededTensor(4, width),
    seededTensor(5, slots, width),
    mapped(seededTensor(6, slots, width), (x) => 1.5 + x),
    seededTensor(7, slots, width),
  ];
}

/**
 * The new sums as multiples of a maximum that is held constant: what they stand for, as multiples of
 * e^(the maximum of the unchanged arguments).
 */
async function expectSumsOfWkv4(arrays: readonly HostTensor[]): Promise<void> {
  await using device = openCpu({ precision: 'f64' });
  const run = async (): Promise<readonly HostTensor[]> =>
    evaluate(device, (...values) => wkv4(...(values as Parameters<typeof wkv4>)), ...arrays);
  const [y, numerator, , maximum] = await run();
  const [toNumerator, toDenominator] = [11, 12].map((seed) =>
    seededTensor(seed, ...numerator!.shape),
  );
  const gradients = await evaluate(
    device,
    backward4,
    ...arrays,
    mapped(y!, () => 0),
    toNumerator!,
    toDenominator!,
  );
  const loss = async (): Promise<number> => {
    const [, above, below, top] = await run();
    const scaled = ({ data }: HostTensor): Float64Array =>
      Float64Array.from(data, (x, i) => x * Math.exp(top!.data[i]! - maximum!.data[i]!));
    return dot(scaled(above!), toNumerator!.data) + dot(scaled(below!), toDenominator!.data);
  };
  for (const [place, gradient] of gradients.entries()) {
    const { data } = arrays[place]!;
    for (let index = 0; index < Math.min(data.length, 60); index++) {
      const slope = await centralDifference(loss, data, index);
      expectSlope(gradient.data[index]!, slope, `input ${place}, element ${index}`);
    }
  }
}

test('wkv4 from the beginning of a sequence sends back finite numbers', async () => {
  const arrays = wkv4Arrays(4, 1, 6);
  const zeros = mapped(arrays[4]!, () => 0);
  await expectGradients(
    (...values) => wkv4(...(values as Parameters<typeof wkv4>)),
    [...arrays.slice(0, 4), zeros, zeros, mapped(zeros, () => -1e30), indexes([0, 4])],
    { outputs: [0], wrt: [0, 1, 2, 3, 4, 5] },
  );
});

test('padding rows send nothing back, whatever flows to them', async () => {
  await using device = openCpu();
  const [heads, headSize, width] = [2, 3, 6];
  const rows = Array.from({ length: 7 }, (_, i) => seededTensor(i + 1, 4, width));
  const state = seededTensor(9, 1, heads, headSize, headSize);
  const gradients = await evaluate(
    device,
    backward7,
    ...rows.slice(0, 6),
    state,
    indexes([0, 2]),
    rows[6]!,
    state,
  );
  for (const { data } of gradients.slice(0, 6)) {
    expect(data.slice(2 * width).every((x) => x === 0)).toBe(true);
    expect(data.slice(0, 2 * width).some((x) => x !== 0)).toBe(true);
  }
});

describe("the vectors of the specification's appendix", () => {
  const array = (k: number, ...shape: number[]): HostTensor =>
    tensor(
      shape,
      specificationArray(
        k,
        shape.reduce((a, b) => a * b),
      ),
    );
  const [r, decayInput, k, v, z, rate, state, dy, dstate] = [
    array(1, 6, 4),
    array(2, 6, 4),
    array(3, 6, 4),
    array(4, 6, 4),
    array(5, 6, 4),
    array(6, 6, 4),
    array(7, 1, 1, 4, 4),
    array(8, 6, 4),
    array(9, 1, 1, 4, 4),
  ] as const;
  const u = array(10, 1, 4);
  const offsets = indexes([0, 6]);

  function expectRow(found: HostTensor, row: number, expected: readonly number[]): void {
    expected.forEach((x, i) => expect(found.data[row * 4 + i]).toBeCloseTo(x, 8));
  }

  test('wkv7', async () => {
    await using device = openCpu({ precision: 'f64' });
    const sigmoid = (x: number): number => 1 / (1 + Math.exp(-x));
    const decay = mapped(decayInput, (x) => Math.exp(-Math.exp(-0.5) * sigmoid(3 * x)));
    const kappa = tensor(
      z.shape,
      Float64Array.from(z.data, (x, i) => {
        const row = z.data.slice(i - (i % 4), i - (i % 4) + 4) as Float64Array;
        return x / Math.hypot(...row);
      }),
    );
    const a = mapped(kappa, (x) => -x);
    const b = tensor(
      z.shape,
      Float64Array.from(kappa.data, (x, i) => x * sigmoid(rate.data[i]!)),
    );
    const [dr, ddecay, dk, dv, da, db, ds] = await evaluate(
      device,
      backward7,
      r,
      decay,
      k,
      v,
      a,
      b,
      state,
      offsets,
      dy,
      dstate,
    );
    expectRow(dr!, 0, [-0.0034611, 0.14056021, 0.283927909, -0.195887411]);
    expectRow(dr!, 5, [-0.29962313, -1.190595956, -1.429359522, -1.638799302]);
    expectRow(ddecay!, 0, [-0.022736995, 0.178351464, 0.616763048, 0.158963855]);
    expectRow(ddecay!, 5, [0.88652742, 0.99303648, -1.320504339, 0.022799364]);
    expectRow(dk!, 0, [-0.005620839, 0.116322249, 0.15589371, 0.130243717]);
    expectRow(dk!, 5, [0.457049116, 0.088248029, -0.870961643, -0.020885082]);
    expectRow(dv!, 0, [0.156274305, -0.127477088, -0.477456877, 0.182483241]);
    expectRow(dv!, 5, [-1.218091724, 0.675230765, -1.36571364, -0.218905238]);
    expectRow(da!, 0, [0.000569598, 0.03044886, 0.060233642, -0.009945961]);
    expectRow(da!, 5, [0.608566454, 0.641707667, 0.661692975, 0.705790157]);
    expectRow(db!, 0, [0.033421903, 0.019043869, 0.022918274, -0.053572372]);
    expectRow(db!, 5, [-0.787830922, -0.79797744, 1.236210025, -0.021647595]);
    expectRow(ds!, 0, [0.135137151, 0.16102273, 0.185117621, -0.060314697]);
  });

  test('wkv6', async () => {
    await using device = openCpu({ precision: 'f64' });
    const decay = mapped(decayInput, (x) => Math.exp(-Math.exp(x)));
    const [dr, dk, dv, ddecay, du, ds] = await evaluate(
      device,
      backward6,
      r,
      k,
      v,
      decay,
      u,
      state,
      offsets,
      dy,
      dstate,
    );
    expectRow(dr!, 0, [1.25583086, 1.252439921, 1.243333733, 1.23714513]);
    expectRow(dk!, 0, [0.144459211, 0.08043949, 0.000180708, 0.033307127]);
    expectRow(dv!, 0, [0.077916115, 0.335391141, -0.253740955, -0.006591121]);
    expectRow(ddecay!, 0, [0.219589905, 0.149076124, 0.090241722, 0.037772986]);
    expectRow(du!, 0, [0.485149452, 0.42815863, 0.219581371, -0.022710875]);
    expectRow(ds!, 0, [0.248286745, -0.122356837, -0.768919761, 0.324274697]);
  });

  test('wkv4', async () => {
    await using device = openCpu({ precision: 'f64' });
    const logDecay = mapped(array(11, 4), (x) => -Math.exp(x));
    const zeros = tensor([1, 4], [0, 0, 0, 0]);
    const maximum = tensor([1, 4], Float64Array.of(-1e38, -1e38, -1e38, -1e38));
    const [dk, dv, dw, du] = await evaluate(
      device,
      backward4,
      k,
      v,
      logDecay,
      tensor([4], u.data),
      zeros,
      zeros,
      maximum,
      offsets,
      dy,
      zeros,
      zeros,
    );
    expectRow(dw!, 0, [-0.042318393, -0.011690828, 0.276073093, -0.012773058]);
    expectRow(du!, 0, [-0.182567854, 0.231997407, -0.219837771, 0.384660414]);
    expectRow(dk!, 0, [0.017797821, -0.111856513, 0.091783119, 0.063373573]);
    expectRow(dv!, 0, [0.375384278, -0.592989387, -0.634640381, 0.343275554]);
  });
});
