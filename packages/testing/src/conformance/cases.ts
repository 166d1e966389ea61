import {
  adamW,
  add,
  broadcastTo,
  clipByNorm,
  concat,
  crossEntropy,
  crossEntropyBackward,
  exp,
  gatherRows,
  gatherRowsOfPart,
  groupNorm,
  groupNormBackward,
  keepDrawn,
  l2Normalize,
  l2NormalizeBackward,
  layerNorm,
  lerp,
  linear,
  linearOfSparse,
  linearSquaredRelu,
  multiply,
  negate,
  normShiftMix,
  pad,
  relu,
  reluBackward,
  reshape,
  resolveTokens,
  sample,
  scale,
  scatterRows,
  sigmoid,
  silu,
  slice,
  softplus,
  sqrt,
  square,
  subtract,
  sum,
  sumOfSquares,
  sumTo,
  tanh,
  timeMix7Project,
  timeMix7Raise,
  timeMix7RaiseRecur,
  timeMix7Recur,
  tokenLogProbability,
  tokenLogProbabilityBackward,
  tokenShift,
  tokenShiftBackward,
  transpose,
  wkv4,
  wkv4Backward,
  wkv5,
  wkv5Backward,
  wkv6,
  wkv6Backward,
  wkv7,
  wkv7Backward,
  zerosLike,
  type TimeMix7Ranks,
} from '@rwkv-js/core';
import {
  accumulate,
  assign,
  tensor,
  type HostTensor,
  type Shape,
  type Value,
} from '@rwkv-js/tensor';
import { input, parameter, state, type ConformanceCase, type ToleranceName } from './case.ts';
import { longCases } from './long-cases.ts';
import { packedCases } from './packed-cases.ts';
import { RandomTensors } from './random-tensor.ts';

const random = new RandomTensors(20);
const epsilon = { epsilon: 1e-5 };

/** Tokens of each slot's sequence, and rows of padding after them. */
interface Layout {
  readonly name: string;
  readonly lengths: readonly number[];
  readonly padding: number;
}

const layouts: readonly Layout[] = [
  { name: 'one token', lengths: [1], padding: 0 },
  { name: 'one sequence', lengths: [19], padding: 0 },
  { name: 'one token of one slot among four', lengths: [0, 0, 1, 0], padding: 0 },
  { name: 'four sequences, one empty, with padding', lengths: [3, 0, 1, 7], padding: 5 },
  { name: 'nothing but padding', lengths: [0, 0], padding: 4 },
];

/** Every case of every operation. A new operation gets its line here. */
export const conformanceCases: readonly ConformanceCase[] = [
  ...onEach('negate', negate, 'exact'),
  ...onEach('exp', exp),
  ...onEach('tanh', tanh),
  ...onEach('sigmoid', sigmoid),
  ...onEach('silu', silu),
  ...onEach('relu', relu, 'exact'),
  ...onEach('softplus', softplus),
  ...onEach('square', square),
  ...onEach('scale', (x) => scale(x, { factor: -0.37 })),
  ...onPairs('add', add),
  ...onPairs('subtract', subtract),
  ...onPairs('multiply', multiply),
  ...onRows(
    'lerp',
    'elementwise',
    (x) => [x, random.floats(x.shape), random.floats(x.shape.slice(1), 0, 1)],
    lerp,
  ),
  ...onRows('sum', 'sums', (x) => [x], sum),
  ...onRows('l2Normalize', 'sums', (x) => [x], l2Normalize),
  ...onRows(
    'layerNorm',
    'sums',
    (x) => [x, ...norms(x.shape[1]!)],
    (x, weight, bias) => layerNorm(x, weight, bias, epsilon),
  ),
  ...onRows(
    'groupNorm',
    'sums',
    (x) => [x, ...norms(x.shape[1]!)],
    (x, weight, bias) => groupNorm(x, weight, bias, { groups: 1, ...epsilon }),
  ),
  one(
    'groupNorm',
    '3 heads of 20',
    'sums',
    [input(random.floats([5, 60])), ...norms(60).map(parameter)],
    (x, weight, bias) => [groupNorm(x!, weight!, bias!, { groups: 3, epsilon: 64e-5 })],
  ),
  ...products('linear', linear),
  farApart(),
  faint(),
  deep(),
  ...products('linearSquaredRelu', linearSquaredRelu),
  ...products('linearOfSparse', linearOfSparse),
  ...productsWithStates(),
  ...(['f32', 'f16', 'bf16'] as const).map((dtype) =>
    one(
      'gatherRows',
      `${dtype} table, an index of −1`,
      'exact',
      [
        parameter(random.floats([13, 24], -1, 1, dtype)),
        input(tensor([5], [12, 0, -1, 7, 7], 'i32')),
      ],
      (table, indexes) => [gatherRows(table!, indexes!)],
    ),
  ),
  ...(['f32', 'f16'] as const).flatMap((dtype) =>
    [0, 6].map((first) =>
      one(
        'gatherRowsOfPart',
        `${dtype}, the rows from ${first} on${first > 0 ? ', over those of another part' : ''}`,
        'exact',
        [
          parameter(random.floats([6, 24], -1, 1, dtype)),
          input(tensor([6], [11, 0, -1, 5, 6, 12], 'i32')),
          ...(first > 0 ? [input(random.floats([6, 24]))] : []),
        ],
        (...values) => [gatherRowsOfPart(values, { first })],
      ),
    ),
  ),
  one('transpose', '[7, 12]', 'exact', [input(random.floats([7, 12]))], (x) => [transpose(x!)]),
  one('reshape', 'between two operations', 'exact', [input(random.floats([4, 6]))], (x) => [
    negate(reshape(negate(x!), { shape: [3, 8] })),
  ]),
  one('slice', 'along the first axis', 'exact', [input(random.floats([6, 4]))], (x) => [
    slice(x!, { axis: 0, start: 2, end: 5 }),
  ]),
  one('slice', 'along the last axis', 'exact', [input(random.floats([6, 12]))], (x) => [
    slice(x!, { axis: 1, start: 4, end: 8 }),
  ]),
  one(
    'concat',
    'along the first axis',
    'exact',
    [input(random.floats([2, 4])), input(random.floats([3, 4]))],
    (a, b) => [concat([a!, b!], { axis: 0 })],
  ),
  one(
    'concat',
    'along the last axis',
    'exact',
    [input(random.floats([2, 4])), input(random.floats([2, 8]))],
    (a, b) => [concat([a!, b!], { axis: 1 })],
  ),
  one('broadcastTo', '[3, 1] to [2, 3, 4]', 'exact', [input(random.floats([3, 1]))], (x) => [
    broadcastTo(x!, { shape: [2, 3, 4] }),
  ]),
  one(
    'tokenLogProbability',
    'a target of −1',
    'sums',
    [input(random.floats([4, 50], -5, 5)), input(tensor([4], [49, -1, 0, 7], 'i32'))],
    (logits, tokens) => [tokenLogProbability(logits!, tokens!)],
  ),
  ...sampling(),
  {
    op: 'resolveTokens',
    name: 'two tokens, one to come, none, padding',
    tolerance: 'exact',
    tensors: [
      input(tensor([6], [3, -1, -1, 7, 0, 0], 'i32')),
      state(tensor([4, 3], [1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12], 'i32')),
      input(tensor([5], [0, 2, 3, 3, 4], 'i32')),
    ],
    build: (tokens, drawn, offsets) => [resolveTokens(tokens!, drawn!, offsets!)],
    updates: [],
  },
  ...[1, 3].map((steps): ConformanceCase => ({
    op: 'keepDrawn',
    name: `the last ${steps} of each slot; a row without a slot, a slot without a row`,
    tolerance: 'exact',
    tensors: [
      state(random.integers([3, steps], -1, 40)),
      input(tensor([4], [17, -1, 5, -1], 'i32')),
      input(tensor([4], [2, -1, 0, -1], 'i32')),
    ],
    build: (drawn, tokens, slots) => [keepDrawn(drawn!, tokens!, slots!)],
    updates: [[0, 0]],
  })),
  ...sequences(
    'tokenShift',
    16,
    (rows, slots) => [input(rows()), state(random.floats([slots, 16]))],
    ([x, kept], offsets) => tokenShift(x!, kept!, offsets),
    'exact',
  ),
  ...sequences(
    'wkv4',
    16,
    (rows, slots) => [
      input(rows(-3, 3)),
      input(rows()),
      parameter(random.floats([16], -3, -0.01)),
      parameter(random.floats([16])),
      state(random.floats([slots, 16])),
      state(random.floats([slots, 16], 0.5, 2)),
      state(random.floats([slots, 16], -2, 2)),
    ],
    ([k, v, decay, bonus, a, b, p], offsets) => wkv4(k!, v!, decay!, bonus!, a!, b!, p!, offsets),
  ),
  ...sequences(
    'wkv5',
    24,
    (rows, slots) => [
      input(rows()),
      input(rows()),
      input(rows()),
      parameter(random.floats([3, 8], 0.1, 0.99)),
      parameter(random.floats([3, 8])),
      state(random.floats([slots, 3, 8, 8])),
    ],
    ([r, k, v, decay, bonus, kept], offsets) => wkv5(r!, k!, v!, decay!, bonus!, kept!, offsets),
  ),
  ...sequences(
    'wkv6',
    24,
    (rows, slots) => [
      input(rows()),
      input(rows()),
      input(rows()),
      input(rows(0.001, 0.99)),
      parameter(random.floats([3, 8])),
      state(random.floats([slots, 3, 8, 8])),
    ],
    ([r, k, v, decay, bonus, kept], offsets) => wkv6(r!, k!, v!, decay!, bonus!, kept!, offsets),
  ),
  ...sequences(
    'wkv7',
    24,
    (rows, slots) => [
      input(rows()),
      input(rows(0.55, 0.999)),
      input(rows()),
      input(rows()),
      input(rows(-0.3, 0.3)),
      input(rows(-0.3, 0.3)),
      state(random.floats([slots, 3, 8, 8])),
    ],
    ([r, decay, k, v, a, b, kept], offsets) => wkv7(r!, decay!, k!, v!, a!, b!, kept!, offsets),
  ),
  ...sequences(
    'normShiftMix',
    16,
    (rows, slots) => [
      input(rows()),
      ...norms(16).map(parameter),
      parameter(random.floats([6, 16], 0, 1)),
      state(random.floats([slots, 16])),
      input(rows()),
    ],
    ([x, weight, bias, mixes, kept, delta], offsets) => {
      const [next, mixed, kept2] = normShiftMix(
        [x!, weight!, bias!, mixes!, kept!, offsets, delta!],
        epsilon,
      );
      return [next, mixed, kept2];
    },
    'sums',
  ),
  ...sequences(
    'normShiftMix',
    16,
    (rows, slots) => [
      input(rows()),
      ...norms(16).map(parameter),
      parameter(random.floats([1, 16], 0, 1)),
      state(random.floats([slots, 16])),
    ],
    ([x, weight, bias, mixes, kept], offsets) => {
      const [, mixed, kept2] = normShiftMix([x!, weight!, bias!, mixes!, kept!, offsets], epsilon);
      return [mixed, kept2];
    },
    'sums',
  ),
  ...sequences(
    'normShiftMix',
    96,
    (rows, slots) => [
      input(rows()),
      // So small that a quant of a block is, too.
      parameter(random.floats([96], -0.2, 0.2)),
      parameter(random.floats([96], -0.2, 0.2)),
      parameter(random.floats([6, 96], 0, 1)),
      state(random.floats([slots, 96])),
      input(rows()),
    ],
    ([x, weight, bias, mixes, kept, delta], offsets) => {
      const inputs = [x!, weight!, bias!, mixes!, kept!, offsets, delta!] as const;
      const [next, mixed, kept2] = normShiftMix(inputs, { ...epsilon, quantized: true });
      return [next, mixed, kept2];
    },
    'oneQuant',
    'quantised',
  ),
  ...timeMix7(),
  ...raiseRecur({ w: 40, a: 6, v: 9, g: 70 }, 'f16', [2, 64], false),
  ...raiseRecur({ w: 5, a: 16, v: 0, g: 33 }, 'f16', [3, 32], true),
  ...raiseRecur({ w: 3, a: 5, v: 2, g: 7 }, 'f32', [2, 8], false),
  ...sequences(
    'timeMix7Recur',
    96,
    (rows, slots) => [
      input(rows()),
      input(rows(0.55, 0.999)),
      input(rows()),
      input(rows()),
      input(rows(0, 1)),
      input(rows(-0.2, 0.2)),
      parameter(random.floats([5, 96])),
      state(random.floats([slots, 3, 32, 32])),
    ],
    ([r, decay, k, v, rate, gate, vectors, kept], offsets) =>
      timeMix7Recur(r!, decay!, k!, v!, rate!, gate!, vectors!, kept!, offsets, {
        epsilon: 64e-5,
        quantized: true,
      }),
    'oneQuant',
    'quantised',
  ),
  ...sequences(
    'timeMix7Recur',
    24,
    (rows, slots) => [
      input(rows()),
      input(rows(0.55, 0.999)),
      input(rows()),
      input(rows()),
      input(rows(0, 1)),
      input(rows()),
      parameter(random.floats([5, 24])),
      state(random.floats([slots, 3, 8, 8])),
    ],
    ([r, decay, k, v, rate, gate, vectors, kept], offsets) =>
      timeMix7Recur(r!, decay!, k!, v!, rate!, gate!, vectors!, kept!, offsets, { epsilon: 64e-5 }),
  ),
  ...training(),
  ...waysBack(),
  ...packedCases,
  ...longCases,
];

function one(
  op: string,
  name: string,
  tolerance: ToleranceName,
  tensors: ConformanceCase['tensors'],
  build: ConformanceCase['build'],
): ConformanceCase {
  return { op, name, tolerance, tensors, build, updates: [] };
}

/** An operation on every element: a vector, a matrix, three axes. */
function onEach(
  op: string,
  build: (x: Value) => Value,
  tolerance: ToleranceName = 'elementwise',
): ConformanceCase[] {
  return [[1], [257], [5, 33], [3, 4, 5]].map((shape) =>
    one(op, `[${shape.join(', ')}]`, tolerance, [input(random.floats(shape, -4, 4))], (x) => [
      build(x!),
    ]),
  );
}

/** An operation on two tensors whose shapes broadcast. */
function onPairs(op: string, build: (a: Value, b: Value) => Value): ConformanceCase[] {
  const shapes: readonly (readonly [Shape, Shape])[] = [
    [
      [3, 16],
      [3, 16],
    ],
    [[3, 16], [16]],
    [
      [1, 16],
      [3, 16],
    ],
    [
      [3, 4, 5],
      [3, 4, 1],
    ],
    [
      [2, 3, 4],
      [3, 1],
    ],
  ];
  return shapes.map(([a, b]) =>
    one(
      op,
      `[${a.join(', ')}] with [${b.join(', ')}]`,
      'elementwise',
      [input(random.floats(a)), input(random.floats(b))],
      (x, y) => [build(x!, y!)],
    ),
  );
}

/** An operation on rows, with vectors that serve every row as parameters. */
function onRows(
  op: string,
  tolerance: ToleranceName,
  tensors: (x: HostTensor) => readonly HostTensor[],
  build: (...values: [Value, Value, Value]) => Value,
): ConformanceCase[] {
  return [
    [1, 64],
    [7, 33],
    [17, 256],
  ].map((shape) => {
    const all = tensors(random.floats(shape, -2, 2));
    const roles = all.map((part) => (part.shape.length === 1 ? parameter(part) : input(part)));
    return one(op, `[${shape.join(', ')}]`, tolerance, roles, (...values) => [
      build(...(values as [Value, Value, Value])),
    ]);
  });
}

/** Weight and bias of a norm. */
function norms(width: number): readonly [HostTensor, HostTensor] {
  return [random.floats([width], 0.5, 1.5), random.floats([width])];
}

/** Products with a matrix: odd sizes, one row and many, every dtype of weights; a row of zeros. */
function products(op: string, build: (x: Value, weight: Value) => Value): ConformanceCase[] {
  const sizes = [
    [1, 64, 64],
    [1, 33, 7],
    [4, 128, 3],
    [17, 96, 50],
    [64, 256, 130],
    [130, 520, 72],
  ] as const;
  return (['f32', 'f16', 'bf16'] as const).flatMap((dtype) =>
    sizes.map(([tokens, width, out]) => {
      const x = random.floats([tokens, width]);
      x.data.fill(0, 0, 8);
      const weight = random.floats([out, width], -1, 1, dtype);
      return one(
        op,
        `${tokens} rows, ${dtype} [${out}, ${width}]`,
        'sums',
        [input(x), parameter(weight)],
        (a, b) => [build(a!, b!)],
      );
    }),
  );
}

/** Rows of magnitudes from 0.01 to 1e6 with a weight of halves; their results are brought back to about 1. */
function farApart(): ConformanceCase {
  // None below zero, so that sums are as large as what they are of.
  const x = random.floats([9, 200], 0);
  const scales = random.floats([9, 40]);
  const magnitude = (row: number): number => 10 ** (row - 2);
  x.data.forEach((value, i) => (x.data[i] = Number(value) * magnitude(Math.floor(i / 200))));
  scales.data.forEach((_, i) => (scales.data[i] = 1 / magnitude(Math.floor(i / 40))));
  return one(
    'linear',
    'rows of magnitudes far apart',
    'sums',
    [input(x), parameter(random.floats([40, 200], 0, 0.01, 'f16')), input(scales)],
    (a, b, c) => [multiply(linear(a!, b!), c!)],
  );
}

/** Gradients: rows far below 1 with a weight of halves that lies there for good. */
function faint(): ConformanceCase {
  const x = random.floats([6, 64], -1e-7, 1e-7);
  const scales = { ...random.floats([6, 48]) };
  scales.data.fill(1e7);
  return one(
    'linear',
    'rows far below 1',
    'sums',
    [input(x), parameter(random.floats([64, 48], -1, 1, 'f16')), input(scales)],
    (a, b, c) => [multiply(linear(a!, transpose(b!), { faint: true }), c!)],
  );
}

/** Long sums of numbers of one sign, in which errors of one sign would show. */
function deep(): ConformanceCase {
  return one(
    'linear',
    'sums of 9,000',
    'sums',
    [input(random.floats([17, 9000], 0)), parameter(random.floats([24, 9000], 0, 1e-3, 'f16'))],
    (a, b) => [linear(a!, b!)],
  );
}

/** Products with a matrix that is trained, or computed: it lies row by row on every device. */
function productsWithStates(): ConformanceCase[] {
  const ranks = { w: 32, a: 32, v: 32, g: 32 };
  return [
    ...Object.entries({ linear, linearSquaredRelu, linearOfSparse }).flatMap(([op, build]) =>
      [1, 6].map((tokens) =>
        one(
          op,
          `${tokens} rows, a state [70, 40]`,
          'sums',
          [input(random.floats([tokens, 40])), state(random.floats([70, 40]))],
          (x, weight) => [build(x!, weight!)],
        ),
      ),
    ),
    one(
      'linear',
      'a computed matrix [70, 40]',
      'sums',
      [input(random.floats([6, 40])), input(random.floats([40, 70]))],
      (x, weight) => [linear(x!, transpose(weight!))],
    ),
    one(
      'timeMix7Project',
      'states',
      'sums',
      [
        input(random.floats([6, 3, 16])),
        ...[0, 1, 2].map(() => state(random.floats([40, 16]))),
        state(random.floats([128, 16])),
      ],
      (mixed, r, k, v, down) => timeMix7Project(mixed!, r!, k!, v!, down!, ranks),
    ),
  ];
}

/** An operation along time, in every layout of sequences. Its last output is the state. */
function sequences(
  op: string,
  width: number,
  tensors: (
    rows: (least?: number, most?: number) => HostTensor,
    slots: number,
  ) => ConformanceCase['tensors'],
  build: (values: readonly Value[], offsets: Value) => readonly Value[],
  tolerance: ToleranceName = 'recurrence',
  what = '',
): ConformanceCase[] {
  return layouts.map(({ name: layout, lengths, padding }) => {
    const name = what === '' ? layout : `${what}, ${layout}`;
    const tokens = lengths.reduce((total, length) => total + length, padding);
    let at = 0;
    const starts = lengths.map((length) => (at += length));
    const all = tensors(
      (least, most) => random.floats([tokens, width], least, most),
      lengths.length,
    );
    const states = all.flatMap(({ role }, i) => (role === 'state' ? [i] : []));
    const offsets = input(tensor([lengths.length + 1], [0, ...starts], 'i32'));
    return {
      op,
      name,
      tolerance,
      tensors: [...all, offsets],
      build: (...values) => build(values.slice(0, -1), values.at(-1)!),
      updates: states.map((index, i) => [i - states.length, index] as const),
    };
  });
}

/** What training takes besides ways back: losses, optimizer, sums and moves of gradients. */
function training(): ConformanceCase[] {
  const targets = input(tensor([4], [49, -1, 0, 7], 'i32'));
  const moments = [0, 1].map((least) => state(random.floats([6, 10], least - 1, 1)));
  return [
    ...onEach('sqrt', (x) => sqrt(exp(x))),
    ...onEach('sumOfSquares', sumOfSquares, 'sums'),
    ...onEach('zerosLike', zerosLike, 'exact'),
    ...onEach('accumulate', (x) => accumulate([x, exp(x)])),
    one('accumulate', 'of one alone, a copy', 'exact', [input(random.floats([5, 7]))], (x) => [
      accumulate([x!]),
    ]),
    {
      ...one(
        'assign',
        'over a state that is read once more',
        'exact',
        [state(random.floats([5, 7])), input(random.floats([5, 7]))],
        (kept, x) => [negate(kept!), assign(kept!, x!)],
      ),
      updates: [[1, 0]],
    },
    ...[0.5, 100].map((limit) =>
      one(
        'clipByNorm',
        `a limit of ${limit}`,
        'elementwise',
        [input(random.floats([5, 7])), input(tensor([], [3]))],
        (x, norm) => [clipByNorm(x!, norm!, { limit })],
      ),
    ),
    {
      ...one(
        'adamW',
        'the third step',
        'sums',
        [
          state(random.floats([6, 10])),
          input(random.floats([6, 10])),
          ...moments,
          input(tensor([1], [0.01])),
          input(tensor([1], [3], 'i32')),
        ],
        (weight, gradient, first, second, rate, step) =>
          adamW(weight!, gradient!, first!, second!, rate!, step!, {
            beta1: 0.9,
            beta2: 0.99,
            epsilon: 1e-8,
            weightDecay: 0.1,
          }),
      ),
      updates: [
        [0, 0],
        [1, 2],
        [2, 3],
      ],
    },
    one(
      'crossEntropy',
      'a masked row',
      'sums',
      [input(random.floats([4, 50], -5, 5)), targets],
      (logits, tokens) => [crossEntropy(logits!, tokens!, { l2Wrap: 1e-4 })],
    ),
    one(
      'crossEntropyBackward',
      'a masked row',
      'sums',
      [input(random.floats([4, 50], -5, 5)), targets, input(tensor([], [0.75]))],
      (logits, tokens, flow) => [crossEntropyBackward(logits!, tokens!, flow!, { l2Wrap: 0.5 })],
    ),
    one(
      'tokenLogProbabilityBackward',
      'a target of −1',
      'sums',
      [input(random.floats([4, 50], -5, 5)), targets, input(random.floats([4]))],
      (logits, tokens, flow) => [tokenLogProbabilityBackward(logits!, tokens!, flow!)],
    ),
    one(
      'scatterRows',
      'rows of one index, an index of −1',
      'sums',
      [input(random.floats([6, 24])), input(tensor([6], [12, 0, -1, 7, 7, 7], 'i32'))],
      (x, indexes) => [scatterRows(x!, indexes!, { rows: 13 })],
    ),
    ...[0, 1].map((axis) =>
      one('pad', `along axis ${axis}`, 'exact', [input(random.floats([3, 4, 2]))], (x) => [
        pad(x!, { axis, start: 2, size: 7 }),
      ]),
    ),
    ...[[], [5], [4, 1], [1, 4, 5], [3, 1, 1]].map((shape) =>
      one(
        'sumTo',
        `[3, 4, 5] to [${shape.join(', ')}]`,
        'sums',
        [input(random.floats([3, 4, 5]))],
        (x) => [sumTo(x!, { shape })],
      ),
    ),
  ];
}

/** Gradients that have loops of their own. What is stacked in `rows` ends with the cotangent of y. */
function waysBack(): ConformanceCase[] {
  const stacked = (count: number, { shape }: HostTensor): ConformanceCase['tensors'][number] =>
    input(random.floats([count, ...shape], -0.5, 0.5));
  const ofHeads = (slots: number): ConformanceCase['tensors'] =>
    [0, 1].map(() => input(random.floats([slots, 3, 8, 8])));
  return [
    ...onRows('reluBackward', 'exact', (x) => [x, random.floats(x.shape)], reluBackward),
    ...onRows(
      'l2NormalizeBackward',
      'sums',
      (x) => [x, random.floats(x.shape)],
      l2NormalizeBackward,
    ),
    ...[1, 3].map((groups) =>
      one(
        'groupNormBackward',
        `${groups} groups`,
        'sums',
        [
          input(random.floats([5, 60])),
          parameter(random.floats([60], 0.5, 1.5)),
          input(random.floats([5, 60])),
        ],
        (x, weight, flow) => groupNormBackward(x!, weight!, flow!, { groups, ...epsilon }),
      ),
    ),
    ...sequences(
      'tokenShiftBackward',
      16,
      (rows, slots) => [input(rows()), input(random.floats([slots, 16]))],
      ([shifted, kept], offsets) => tokenShiftBackward(shifted!, kept!, offsets),
      'exact',
    ),
    ...sequences(
      'wkv4Backward',
      16,
      (rows, slots) => [
        stacked(3, rows()),
        parameter(random.floats([2, 16], -1.5, -0.01)),
        // The denominator is a sum of exponentials, so all three are above 0.
        input(random.floats([3, slots, 16], 0.5, 2)),
        input(random.floats([2, slots, 16])),
      ],
      ([rows, vectors, states, flow], offsets) =>
        wkv4Backward(rows!, vectors!, states!, offsets, flow!),
    ),
    ...sequences(
      'wkv5Backward',
      24,
      (rows, slots) => [
        stacked(4, rows()),
        parameter(random.floats([2, 3, 8], 0.1, 0.99)),
        ...ofHeads(slots),
      ],
      ([rows, vectors, kept, flow], offsets) =>
        wkv5Backward(rows!, vectors!, kept!, offsets, flow!),
    ),
    ...sequences(
      'wkv6Backward',
      24,
      (rows, slots) => [stacked(5, rows()), parameter(random.floats([3, 8])), ...ofHeads(slots)],
      ([rows, bonus, kept, flow], offsets) => wkv6Backward(rows!, bonus!, kept!, offsets, flow!),
    ),
    ...sequences(
      'wkv7Backward',
      24,
      (rows, slots) => [stacked(7, rows()), ...ofHeads(slots)],
      ([rows, kept, flow], offsets) => wkv7Backward(rows!, kept!, offsets, flow!),
    ),
  ];
}

/** Projections and low-rank maps of RWKV-7, with and without the mixing of values. */
function timeMix7(): ConformanceCase[] {
  return [
    { w: 4, a: 6, v: 2, g: 8 },
    { w: 3, a: 5, v: 0, g: 7 },
  ].flatMap((ranks) => {
    const total = ranks.w + ranks.a + ranks.v + ranks.g;
    const name = ranks.v > 0 ? 'with a value mix' : 'of layer 0';
    return (
      [
        [1, 'f16'],
        [6, 'f16'],
        [40, 'f16'],
        [6, 'f32'],
      ] as const
    ).flatMap(([tokens, dtype]) => [
      one(
        'timeMix7Project',
        `${tokens} rows ${name}, ${dtype}`,
        'sums',
        [
          input(random.floats([6, tokens, 16])),
          ...[0, 1, 2].map(() => parameter(random.floats([24, 16], -1, 1, dtype))),
          parameter(random.floats([total, 16], -1, 1, dtype)),
        ],
        (mixed, r, k, v, down) => timeMix7Project(mixed!, r!, k!, v!, down!, ranks),
      ),
      one(
        // Layer 0 passes its value on as it is, which alone would be no operation's output.
        'timeMix7Raise',
        `${tokens} rows ${name}, ${dtype}`,
        'sums',
        [
          input(random.floats([tokens, total])),
          parameter(random.floats([total, 24], -1, 1, dtype)),
          parameter(random.floats([ranks.v > 0 ? 3 : 2, 24])),
          input(random.floats([tokens, 24])),
          ...(ranks.v > 0 ? [input(random.floats([tokens, 24]))] : []),
        ],
        (low, up, biases, value, first) =>
          timeMix7Raise([low!, up!, biases!, value!, first], ranks).map((part) => negate(part)),
      ),
    ]);
  });
}

/** The up halves and the recurrence at once, for heads of a size. */
function raiseRecur(
  ranks: TimeMix7Ranks,
  dtype: 'f16' | 'f32',
  [heads, size]: readonly [number, number],
  quantized: boolean,
): ConformanceCase[] {
  const total = ranks.w + ranks.a + ranks.v + ranks.g;
  const width = heads * size;
  const hasFirst = ranks.v > 0;
  return sequences(
    'timeMix7RaiseRecur',
    width,
    (rows, slots) => [
      input(random.floats([rows().shape[0]!, total], -0.5, 0.5)),
      parameter(random.floats([total, width], -0.3, 0.3, dtype)),
      parameter(random.floats([hasFirst ? 8 : 7, width], -0.3, 0.3)),
      ...Array.from({ length: hasFirst ? 4 : 3 }, () => input(rows(-0.5, 0.5))),
      state(random.floats([slots, heads, size, size])),
    ],
    ([low, up, vectors, r, k, value, ...rest], offsets) => {
      const [first, kept] = hasFirst ? rest : [undefined, ...rest];
      return timeMix7RaiseRecur([low!, up!, vectors!, r!, k!, value!, kept!, offsets, first], {
        ...ranks,
        epsilon: 64e-5,
        ...(quantized && { quantized }),
      });
    },
    quantized ? 'oneQuant' : 'recurrence',
    `heads of ${size}, ${dtype}${quantized ? ', quantised' : ''}`,
  );
}

/** Greedy and random draws; the tokens must be equal. */
function sampling(): ConformanceCase[] {
  const settings: Readonly<Record<string, readonly number[]>> = {
    greedy: [0, 1, 0, 0, 0, 1],
    'temperature, nucleus and topK': [0.8, 0.9, 20, 0, 0, 1],
    penalties: [1, 0.85, 0, 0.4, 0.3, 0.9],
  };
  return Object.entries(settings).map(([name, row]) => {
    const slots = 3;
    const occurrences = random.integers([slots, 40], -1, 2);
    return {
      op: 'sample',
      name: `${name}; a row without a slot`,
      tolerance: 'elementwise' as const,
      tensors: [
        input(random.floats([4, 40], -4, 4)),
        input(tensor([4], [2, -1, 0, 1], 'i32')),
        input(tensor([slots, 6], [...row, ...row, ...row])),
        input(tensor([slots, 2], [7, 1, 7, 2, 8, 1], 'i32')),
        parameter(
          tensor(
            [40],
            Array.from({ length: 40 }, (_, i) => (i === 5 ? -1 : i % 7 === 0 ? 0 : 1)),
          ),
        ),
        state(tensor([slots, 40], Array.from(occurrences.data))),
      ],
      build: (logits, slotOf, set, key, counts, seen) =>
        sample(logits!, slotOf!, set!, key!, counts!, seen!),
      updates: [[1, 5]],
    };
  });
}
