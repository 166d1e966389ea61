import { evaluate, ShapeError, tensor, type HostTensor } from '@rwkv-js/tensor';
import { describe, expect, test } from 'vitest';
import { elementsOf, randomTensor, relativeError } from '../../test/numbers.ts';
import { part } from '../../test/time-op.ts';
import { openCpu } from '../cpu/device.ts';
import { linear } from './linear.ts';

async function product(x: HostTensor, weight: HostTensor): Promise<HostTensor> {
  await using device = openCpu();
  const [y] = await evaluate(device, (a, b) => [linear(a, b)], x, weight);
  return y;
}

function naive(x: HostTensor, weight: HostTensor): number[] {
  const [tokens, width] = x.shape;
  const [out] = weight.shape;
  const [a, b] = [elementsOf(x), elementsOf(weight)];
  return Array.from({ length: tokens * out }, (_, place) => {
    const [t, o] = [Math.floor(place / out), place % out];
    let sum = 0;
    for (let i = 0; i < width; i++) sum += a[t * width + i] * b[o * width + i];
    return sum;
  });
}

describe('linear', () => {
  test.each(['f32', 'f16', 'bf16'] as const)(
    'multiplies with weights in %s, whatever the sizes',
    async (dtype) => {
      for (const [tokens, width, out] of [
        [1, 1, 1],
        [2, 3, 2],
        [1, 8, 3],
        [3, 5, 4],
        [5, 7, 6],
        [2, 16, 13],
        [17, 10, 9],
      ]) {
        const x = randomTensor(1, [tokens, width]);
        const weight = randomTensor(2, [out, width], dtype);
        const y = await product(x, weight);
        expect(y.shape).toEqual([tokens, out]);
        expect(relativeError(y.data, naive(x, weight))).toBeLessThan(1e-6);
      }
    },
  );

  test.each(['f32', 'f16', 'bf16'] as const)(
    'a row depends on its own row of x alone, bit for bit, in %s',
    async (dtype) => {
      for (const [width, out] of [
        [10, 7],
        [9, 3],
      ]) {
        const x = randomTensor(1, [17, width]);
        const weight = randomTensor(2, [out, width], dtype);
        const all = await product(x, weight);
        for (const [start, end] of [
          [0, 1],
          [16, 17],
          [3, 7],
        ]) {
          const some = await product(part(x, start, end), weight);
          expect(some).toEqual(part(all, start, end));
        }
      }
    },
  );

  test.each(['f32', 'f16', 'bf16'] as const)(
    'an output depends on its own row of the weight alone, in %s',
    async (dtype) => {
      const x = randomTensor(1, [2, 6]);
      const weight = randomTensor(2, [11, 6], dtype);
      const all = await product(x, weight);
      for (let o = 0; o < 11; o++) {
        const one = await product(x, part(weight, o, o + 1));
        expect([...one.data]).toEqual([all.data[o], all.data[11 + o]]);
      }
    },
  );

  test('sums doubles on a device in doubles', async () => {
    await using device = openCpu({ precision: 'f64' });
    const x = tensor([1, 3], Float64Array.of(1, 1e-12, -1));
    const weight = tensor([1, 3], Float64Array.of(1, 1, 1));
    const [y] = await evaluate(device, (a, b) => [linear(a, b)], x, weight);
    expect(y.data[0]).toBeCloseTo(1e-12, 15);
  });

  test('no tokens, no outputs and no width go through', async () => {
    expect((await product(tensor([0, 3], []), randomTensor(1, [5, 3]))).shape).toEqual([0, 5]);
    expect((await product(randomTensor(1, [2, 3]), tensor([0, 3], []))).shape).toEqual([2, 0]);
    expect(await product(tensor([2, 0], []), tensor([5, 0], []))).toEqual(
      tensor([2, 5], new Float32Array(10)),
    );
  });

  test('NaN and infinity reach the rows and outputs they belong to, and no others', async () => {
    const weight = tensor([5, 2], [1, 1, 1, 1, NaN, 1, 1, 1, Infinity, 1]);
    const y = await product(tensor([1, 2], [1, 1]), weight);
    expect([...y.data]).toEqual([2, 2, NaN, 2, Infinity]);
  });

  test.each([
    [randomTensor(1, [2, 3]), randomTensor(2, [4, 5]), 'must have the same in'],
    [randomTensor(1, [3]), randomTensor(2, [4, 3]), 'x must have 2 axes'],
    [randomTensor(1, [2, 3]), randomTensor(2, [3]), 'weight must have 2 axes'],
    [randomTensor(1, [2, 3], 'f16'), randomTensor(2, [4, 3]), 'x must be f32 or quantized'],
    [
      randomTensor(1, [2, 3]),
      tensor([1, 3], [1, 2, 3], 'i32'),
      'weight must be of a floating dtype',
    ],
  ])('refuses what does not fit', async (x, weight, message) => {
    await expect(product(x, weight)).rejects.toThrow(ShapeError);
    await expect(product(x, weight)).rejects.toThrow(/^linear\(x .*, weight .*\): /);
    await expect(product(x, weight)).rejects.toThrow(message);
  });
});
