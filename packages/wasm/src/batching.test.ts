import { linear, linearOfSparse, linearSquaredRelu, quantize } from '@rwkv-js/core';
import { RandomTensors } from '@rwkv-js/testing';
import {
  convert,
  f32,
  isPacked,
  loadParameters,
  pack,
  q4,
  q8,
  record,
  transposedDType,
  type Device,
  type DType,
  type HostArray,
  type Value,
} from '@rwkv-js/tensor';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { openWasm } from './open.ts';

let device: Device;

beforeAll(async () => {
  device = await openWasm({ threads: 2 });
});

afterAll(() => device.dispose());

/** Three groups of columns, the last of them not whole; rows in panels and, where they may be, one beside. */
const columns = 300;
const outputs = 65;

const random = new RandomTensors(5);
const weights = random.floats([outputs, columns]).data as Float32Array;

function bytesOf(dtype: DType, shape: readonly number[], values: Float32Array): Uint8Array {
  if (isPacked(dtype)) return pack({ dtype, shape }, values).slice();
  const data = convert(values, 'f32', dtype as 'f16');
  return new Uint8Array(data.buffer, data.byteOffset, data.byteLength).slice();
}

/** Products of so many rows side by side; `values` are rows one after another. */
async function products(
  values: Float32Array,
  { rows, build, dtype, shape }: Case & { rows: number },
): Promise<HostArray> {
  const width = shape[1]!;
  const program = record('products', (recorder) => ({
    y: build(
      recorder.input('x', f32(rows, width)),
      recorder.parameter('w.weight', { dtype, shape }),
    ),
  }));
  const parameters = await loadParameters(device, [program], {
    label: 'random',
    tensors: new Map([['w.weight', { dtype, shape }]]),
    metadata: new Map(),
    read: async () => bytesOf(dtype, shape, weights.subarray(0, shape[0]! * width)),
    close: async () => undefined,
  });
  const step = await device.compile(program, { parameters: parameters.tensors });
  step.run({ x: values });
  const { y } = await step.read('y');
  step.dispose();
  parameters.dispose();
  return y;
}

interface Case {
  readonly build: (x: Value, weight: Value) => Value;
  readonly dtype: DType;
  readonly shape: readonly [number, number];
}

const quantized = (x: Value, weight: Value): Value => linear(quantize(x), weight);

const cases: readonly (readonly [name: string, one: Case])[] = [
  ...(['f32', 'f16', 'bf16'] as const).flatMap((dtype) =>
    Object.entries({ linear, linearOfSparse }).map(
      ([name, build]) =>
        [`${name}, ${dtype}`, { build, dtype, shape: [outputs, columns] }] as const,
    ),
  ),
  ...[q8, q4].flatMap((dtype) => {
    const shape = [64, 288] as const;
    const named = {
      'quantised rows': quantized,
      'plain rows': linear,
      'plain rows, squared': linearSquaredRelu,
    };
    return [
      ...Object.entries(named).map(
        ([name, build]) => [`${name}, ${dtype.bits} bits`, { build, dtype, shape }] as const,
      ),
      [
        `blocks along columns, ${dtype.bits} bits`,
        { build: linearOfSparse, dtype: transposedDType(dtype), shape: [64, columns] },
      ] as const,
    ];
  }),
];

describe('a row gives the same bits whatever stands beside it', () => {
  // Few zeros and many of them, since there is a way of its own for each.
  const shares = [0, 0.3, 0.5, 0.9];

  test.each(cases)('%s', async (_, one) => {
    const width = one.shape[1];
    for (const share of shares) {
      const most = 17;
      const values = (random.floats([most, width]).data as Float32Array).map((x, i) =>
        (i * 0.618) % 1 < share ? 0 : x ** 3,
      );
      const alone: number[] = [];
      for (let row = 0; row < most; row++) {
        const x = values.slice(row * width, (row + 1) * width);
        alone.push(...(await products(x, { ...one, rows: 1 })));
      }
      for (const rows of [2, 3, 4, 6, most]) {
        const found = await products(values.slice(0, rows * width), { ...one, rows });
        expect([...found]).toEqual(alone.slice(0, found.length));
      }
    }
  });

  test.each(cases)('%s: NaN stays in its row', async (_, one) => {
    const width = one.shape[1];
    for (const rows of [1, 3, 6]) {
      const values = random.floats([rows, width]).data as Float32Array;
      values[width - 1] = NaN;
      const found = await products(values, { ...one, rows });
      const first = found.subarray(0, one.shape[0]);
      // What is squared may be below zero, which gives 0, but not where NaN enters.
      expect([...first].every(Number.isNaN)).toBe(true);
      expect([...found.subarray(one.shape[0])].some(Number.isNaN)).toBe(false);
    }
  });
});
