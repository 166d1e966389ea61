import { evaluate, ShapeError, tensor, type HostTensor } from '@rwkv-js/tensor';
import { describe, expect, test } from 'vitest';
import { elementsOf, randomTensor, relativeError, rowsOf } from '../../test/numbers.ts';
import { openCpu } from '../cpu/device.ts';
import { groupNorm } from './group-norm.ts';
import { layerNorm } from './layer-norm.ts';

async function norm(
  x: HostTensor,
  weight: HostTensor,
  bias: HostTensor,
  groups: number,
  epsilon = 64e-5,
): Promise<HostTensor> {
  await using device = openCpu();
  const [y] = await evaluate(
    device,
    (...values) => [groupNorm(values[0], values[1], values[2], { groups, epsilon })],
    x,
    weight,
    bias,
  );
  return y;
}

describe('groupNorm', () => {
  test.each([
    [1, 1, 5],
    [3, 2, 4],
    [2, 3, 5],
    [2, 7, 1],
  ])('%d tokens, %d groups of %d: each by its own mean and variance', async (tokens, groups, n) => {
    for (const dtype of ['f32', 'f16', 'bf16'] as const) {
      const x = randomTensor(1, [tokens, groups * n], dtype);
      const weight = randomTensor(2, [groups * n], dtype);
      const bias = randomTensor(3, [groups * n], dtype);
      const [w, b] = [elementsOf(weight), elementsOf(bias)];
      const expected = rowsOf(elementsOf(x), n).flatMap((part, index) => {
        const mean = part.reduce((sum, e) => sum + e, 0) / n;
        const variance = part.reduce((sum, e) => sum + e * e, 0) / n - mean * mean;
        const first = (index % groups) * n;
        return part.map(
          (e, i) => ((e - mean) / Math.sqrt(variance + 64e-5)) * w[first + i] + b[first + i],
        );
      });
      const y = await norm(x, weight, bias, groups);
      expect(relativeError(y.data, expected)).toBeLessThan(1e-6);
    }
  });

  test('one group is a layer norm', async () => {
    await using device = openCpu();
    const of = [randomTensor(1, [3, 6]), randomTensor(2, [6]), randomTensor(3, [6])];
    const [group, layer] = await evaluate(
      device,
      (x, w, b) => [
        groupNorm(x, w, b, { groups: 1, epsilon: 1e-5 }),
        layerNorm(x, w, b, { epsilon: 1e-5 }),
      ],
      ...of,
    );
    expect(group).toEqual(layer);
  });

  test('a constant group becomes the bias', async () => {
    const y = await norm(
      tensor([1, 4], [7, 7, 1, 3]),
      tensor([4], [5, 5, 1, 1]),
      tensor([4], [1, -2, 0, 0]),
      2,
      0.25,
    );
    expect([...y.data].slice(0, 2)).toEqual([1, -2]);
    expect(y.data[3]).toBeCloseTo(1 / Math.sqrt(1.25), 6);
  });

  test.each([0, 3, -2, 0.5, NaN])('refuses %d groups of a width of 4', async (groups) => {
    const vector = randomTensor(1, [4]);
    const mistake = norm(randomTensor(1, [2, 4]), vector, vector, groups);
    await expect(mistake).rejects.toThrow(ShapeError);
    await expect(mistake).rejects.toThrow(
      `groups = ${groups} must be a whole number that divides the width of x`,
    );
  });

  test('refuses parameters of another width', async () => {
    const [x, w] = [randomTensor(1, [2, 4]), randomTensor(1, [4])];
    await expect(norm(x, randomTensor(1, [2]), w, 2)).rejects.toThrow('weight must be floating');
    await expect(norm(x, w, randomTensor(1, [2, 2]), 2)).rejects.toThrow('bias must be floating');
  });
});
