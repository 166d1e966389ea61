import { evaluate, tensor, type HostTensor } from '@rwkv-js/tensor';
import { describe, expect, test } from 'vitest';
import { elementsOf, randomTensor, relativeError, rowsOf } from '../../test/numbers.ts';
import { openCpu } from '../cpu/device.ts';
import { l2Normalize } from './l2-normalize.ts';

async function normalize(x: HostTensor): Promise<HostTensor> {
  await using device = openCpu();
  const [y] = await evaluate(device, (value) => [l2Normalize(value)], x);
  return y;
}

describe('l2Normalize', () => {
  test.each([[[5]], [[3, 7]], [[2, 3, 4]], [[0, 3]]])(
    'divides vectors of %j by their length',
    async (shape) => {
      for (const dtype of ['f32', 'f16', 'bf16'] as const) {
        const x = randomTensor(1, shape, dtype);
        const expected = rowsOf(elementsOf(x), shape.at(-1)!).flatMap((row) =>
          row.map((e) => e / Math.hypot(...row)),
        );
        const y = await normalize(x);
        expect(y.shape).toEqual(shape);
        expect(relativeError(y.data, expected)).toBeLessThan(1e-6);
      }
    },
  );

  test('a vector of zeros stays, and one shorter than 1e−12 is divided by 1e−12', async () => {
    const y = await normalize(tensor([3, 2], [0, -0, 1e-20, 0, 3e-13, 4e-13]));
    expect([...y.data].slice(0, 2)).toEqual([0, -0]);
    expect(y.data[2]).toBeCloseTo(1e-8, 12);
    expect(y.data[4]).toBeCloseTo(0.3, 6);
    expect(y.data[5]).toBeCloseTo(0.4, 6);
  });

  test('large numbers do not overflow', async () => {
    const y = await normalize(tensor([1, 2], [3e38, -3e38]));
    expect(y.data[0]).toBeCloseTo(Math.SQRT1_2, 6);
    expect(y.data[1]).toBeCloseTo(-Math.SQRT1_2, 6);
  });

  test('refuses single numbers and integers', async () => {
    await expect(normalize(tensor([], [1]))).rejects.toThrow(
      'l2Normalize(x f32[]): x must have an axis to normalise along',
    );
    await expect(normalize(tensor([1], [1], 'i32'))).rejects.toThrow('floating dtype');
  });
});
