import { evaluate, ShapeError, tensor, type HostTensor } from '@rwkv-js/tensor';
import { describe, expect, test } from 'vitest';
import { elementsOf, randomTensor, relativeError, rowsOf } from '../../test/numbers.ts';
import { openCpu } from '../cpu/device.ts';
import { layerNorm } from './layer-norm.ts';

async function norm(
  x: HostTensor,
  weight: HostTensor,
  bias: HostTensor,
  epsilon = 1e-5,
): Promise<HostTensor> {
  await using device = openCpu();
  const [y] = await evaluate(
    device,
    (...values) => [layerNorm(values[0], values[1], values[2], { epsilon })],
    x,
    weight,
    bias,
  );
  return y;
}

function naive(x: HostTensor, weight: HostTensor, bias: HostTensor, epsilon: number): number[] {
  const [w, b] = [elementsOf(weight), elementsOf(bias)];
  return rowsOf(elementsOf(x), w.length).flatMap((row) => {
    const mean = row.reduce((sum, e) => sum + e, 0) / row.length;
    // The mean of the squares, not of the distances: another way to the same variance.
    const variance = row.reduce((sum, e) => sum + e * e, 0) / row.length - mean * mean;
    return row.map((e, i) => ((e - mean) / Math.sqrt(variance + epsilon)) * w[i] + b[i]);
  });
}

describe('layerNorm', () => {
  test.each(['f32', 'f16', 'bf16'] as const)('normalises rows, parameters in %s', async (dtype) => {
    for (const [tokens, width] of [
      [1, 2],
      [3, 5],
      [4, 17],
    ]) {
      const x = randomTensor(1, [tokens, width], dtype);
      const weight = randomTensor(2, [width], dtype);
      const bias = randomTensor(3, [width], dtype);
      const y = await norm(x, weight, bias, 1e-3);
      expect(relativeError(y.data, naive(x, weight, bias, 1e-3))).toBeLessThan(1e-6);
    }
  });

  test('a constant row, and a row of one, becomes the bias', async () => {
    const bias = tensor([3], [1, -2, 3]);
    const y = await norm(tensor([2, 3], [7, 7, 7, 0, 0, 0]), tensor([3], [5, 5, 5]), bias);
    expect([...y.data]).toEqual([1, -2, 3, 1, -2, 3]);
    expect(await norm(tensor([1, 1], [9]), tensor([1], [4]), tensor([1], [0.5]))).toEqual(
      tensor([1, 1], [0.5]),
    );
  });

  test('numbers far from zero lose nothing but what they lack', async () => {
    const ones = tensor([2], [1, 1]);
    const y = await norm(tensor([1, 2], [1e6, 1e6 + 2]), ones, tensor([2], [0, 0]), 0);
    expect([...y.data]).toEqual([-1, 1]);
  });

  test('refuses what does not fit', async () => {
    const [x, w, b] = [randomTensor(1, [2, 3]), randomTensor(2, [3]), randomTensor(3, [3])];
    const integers = tensor([2, 3], [1, 2, 3, 4, 5, 6], 'i32');
    await expect(norm(x, randomTensor(1, [2]), b)).rejects.toThrow(ShapeError);
    await expect(norm(x, randomTensor(1, [2]), b)).rejects.toThrow(
      'layerNorm(x f32[2, 3], weight f32[2], bias f32[3]): weight must be floating [width] = [3]',
    );
    await expect(norm(x, w, randomTensor(1, [1, 3]))).rejects.toThrow('bias must be floating');
    await expect(norm(integers, w, b)).rejects.toThrow('x must be of a floating dtype');
    await expect(norm(randomTensor(1, [3]), w, b)).rejects.toThrow('x must have 2 axes');
  });
});
