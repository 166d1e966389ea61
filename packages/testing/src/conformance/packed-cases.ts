import {
  concat,
  gatherRows,
  linear,
  linearOfSparse,
  linearSquaredRelu,
  negate,
  quantize,
  slice,
  timeMix7Project,
  timeMix7Raise,
  transpose,
} from '@rwkv-js/core';
import {
  dtypeName,
  pack,
  q4,
  q8,
  tensor,
  transposedDType,
  type HostTensor,
  type PackedDType,
  type Value,
} from '@rwkv-js/tensor';
import { input, parameter, type ConformanceCase, type ToleranceName } from './case.ts';
import { RandomTensors } from './random-tensor.ts';

const random = new RandomTensors(21);

/** A packed matrix of random numbers up to `most`. */
function packed(shape: readonly number[], dtype: PackedDType, most = 1): HostTensor {
  const values = random.floats(shape, -most, most).data as Float32Array;
  return { dtype, shape, data: pack({ dtype, shape }, values) };
}

/**
 * Rows whose quants every device agrees on, however it divides: whole multiples of a block's scale, which
 * is 1/128 or, in every third block, 0.
 */
function rows(...shape: number[]): HostTensor {
  const whole = random.integers(shape, -127, 127).data;
  const data = Float32Array.from(whole, (value, i) => {
    if (Math.floor(i / 32) % 3 === 2) return 0;
    return (i % 32 === 5 ? 127 : value) / 128;
  });
  return { dtype: 'f32', shape, data };
}

function one(
  op: string,
  name: string,
  tolerance: ToleranceName,
  tensors: ConformanceCase['tensors'],
  build: ConformanceCase['build'],
): ConformanceCase {
  return { op, name, tolerance, tensors, build, updates: [] };
}

/** Every op that takes packed tensors, with those that models give it. */
export const packedCases: readonly ConformanceCase[] = [
  one('quantize', 'whole multiples of the scale', 'exact', [input(rows(3, 96))], (x) => [
    quantize(x!),
  ]),
  one('quantize', 'any numbers', 'oneQuant', [input(random.floats([2, 5, 64]))], (x) => [
    quantize(x!),
  ]),
  ...[q8, q4].flatMap((dtype) => [
    ...products('linear', linear, dtype),
    ...products('linearSquaredRelu', linearSquaredRelu, dtype),
    ...sparseProducts(transposedDType(dtype)),
    ...moves(dtype),
    ...timeMix7(dtype),
  ]),
];

/** Products of quantised rows, and of plain ones, with weights that are packed along their rows. */
function products(
  op: string,
  build: (x: Value, weight: Value) => Value,
  dtype: PackedDType,
): ConformanceCase[] {
  const sizes = [
    [1, 64, 64],
    [1, 32, 7],
    [4, 128, 3],
    [17, 96, 50],
    [64, 256, 130],
    [16, 256, 136],
  ] as const;
  return sizes.flatMap(([tokens, width, out]) =>
    [quantize, (x: Value) => x].map((activations) =>
      one(
        op,
        `${tokens} ${activations === quantize ? 'quantised' : 'plain'} rows, [${out}, ${width}]`,
        activations === quantize ? 'sums' : 'sixteenBits',
        [
          input(rows(tokens, width)),
          parameter(
            packed([out, width], dtype, activations === quantize ? 1 : 1 / Math.sqrt(width)),
          ),
        ],
        (x, weight) => [build(activations(x!), weight!)],
      ),
    ),
  );
}

/** Products of rows with zeros with weights that are packed along their columns. */
function sparseProducts(dtype: PackedDType): ConformanceCase[] {
  const sizes = [
    [1, 200, 96],
    [3, 200, 96],
    [20, 200, 96],
    // So many lines that a device may share them out.
    [1, 2600, 32],
  ] as const;
  return sizes.map(([tokens, width, out]) =>
    one(
      'linearOfSparse',
      `${tokens} rows, columns, [${out}, ${width}]`,
      'sixteenBits',
      [input(rows(tokens, width)), parameter(packed([out, width], dtype, 1 / Math.sqrt(width)))],
      (x, weight) => [linearOfSparse(x!, weight!)],
    ),
  );
}

/** Elements of packed tensors on their way. */
function moves(dtype: PackedDType): ConformanceCase[] {
  const name = dtypeName(dtype);
  const columns = transposedDType(dtype);
  const table = packed([13, 64], dtype);
  return [
    one(
      'gatherRows',
      'an index of −1',
      'exact',
      [parameter(table), input(tensor([5], [12, 0, -1, 7, 7], 'i32'))],
      (rowsOf, indexes) => [gatherRows(rowsOf!, indexes!)],
    ),
    one('transpose', `${name} to columns`, 'exact', [parameter(table)], (a) => [
      negate(transpose(a!)),
    ]),
    one(
      'slice',
      `of ${name} and of its columns`,
      'exact',
      [parameter(table), parameter(packed([64, 7], columns))],
      (a, b) => [
        negate(slice(a!, { axis: 0, start: 3, end: 9 })),
        negate(slice(a!, { axis: 1, start: 32, end: 64 })),
        negate(slice(b!, { axis: 0, start: 0, end: 32 })),
        negate(slice(b!, { axis: 1, start: 2, end: 5 })),
      ],
    ),
    one(
      'concat',
      `of ${name} and of its columns`,
      'exact',
      [parameter(table), parameter(packed([64, 7], columns))],
      (a, b) => [
        negate(concat([a!, a!], { axis: 0 })),
        negate(concat([a!, a!], { axis: 1 })),
        negate(concat([b!, b!], { axis: 0 })),
        negate(concat([b!, b!], { axis: 1 })),
      ],
    ),
  ];
}

/** The composites of RWKV-7 that multiply, packed as models are. */
function timeMix7(dtype: PackedDType): ConformanceCase[] {
  return [
    { w: 32, a: 32, v: 0, g: 64 },
    { w: 32, a: 64, v: 32, g: 32 },
  ].flatMap((ranks) => {
    const total = ranks.w + ranks.a + ranks.v + ranks.g;
    const name = ranks.v === 0 ? 'of layer 0' : 'of a layer above';
    return [1, 3, 6].flatMap((tokens) => [
      one(
        'timeMix7Project',
        `${tokens} quantised rows ${name}, ${dtypeName(dtype)}`,
        'sums',
        [
          input(rows(6, tokens, 64)),
          ...[0, 1, 2].map(() => parameter(packed([96, 64], dtype))),
          parameter(packed([total, 64], q8)),
        ],
        (mixed, r, k, v, down) => timeMix7Project(quantize(mixed!), r!, k!, v!, down!, ranks),
      ),
      one(
        'timeMix7Raise',
        `${tokens} rows ${name}, factors of ${dtypeName(dtype)}`,
        'sums',
        [
          input(random.floats([tokens, total])),
          parameter(packed([total, 96], dtype)),
          parameter(random.floats([ranks.v > 0 ? 3 : 2, 96])),
          input(random.floats([tokens, 96])),
          ...(ranks.v > 0 ? [input(random.floats([tokens, 96]))] : []),
        ],
        (low, up, biases, value, first) =>
          timeMix7Raise([low!, up!, biases!, value!, first], ranks).map((part) => negate(part)),
      ),
    ]);
  });
}
