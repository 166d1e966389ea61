import { evaluate, ShapeError, tensor, type HostTensor } from '@rwkv-js/tensor';
import { describe, expect, test } from 'vitest';
import { randomTensor } from '../../test/numbers.ts';
import { openCpu } from '../cpu/device.ts';
import { concat } from './concat.ts';
import { slice } from './slice.ts';

async function join(axis: number, ...parts: readonly HostTensor[]): Promise<HostTensor> {
  await using device = openCpu();
  const [y] = await evaluate(device, (...values) => [concat(values, { axis })], ...parts);
  return y;
}

describe('concat', () => {
  test.each([0, 1, 2])('puts back along axis %d what slices took apart', async (axis) => {
    await using device = openCpu();
    for (const dtype of ['f32', 'f16', 'bf16'] as const) {
      const x = randomTensor(1, [4, 4, 4], dtype);
      const [y] = await evaluate(
        device,
        (value) => [
          concat(
            [
              slice(value, { axis, start: 0, end: 1 }),
              slice(value, { axis, start: 1, end: 3 }),
              slice(value, { axis, start: 3, end: 4 }),
            ],
            { axis },
          ),
        ],
        x,
      );
      expect(y).toEqual(x);
    }
  });

  test('takes one part, integers, and parts without elements', async () => {
    const x = tensor([2, 2], [1, 2, 3, 4], 'i32');
    expect(await join(1, x)).toEqual(x);
    expect(await join(1, x, tensor([2, 0], [], 'i32'), x)).toEqual(
      tensor([2, 4], [1, 2, 1, 2, 3, 4, 3, 4], 'i32'),
    );
    expect(await join(1, tensor([0, 2], []), tensor([0, 3], []))).toEqual(tensor([0, 5], []));
  });

  test.each([
    [0, [2, 2], [2, 3]],
    [1, [2, 2], [3, 2]],
    [2, [2, 2], [2, 2]],
    [-1, [2, 2], [2, 2]],
    [0.5, [2, 2], [2, 2]],
    [0, [2], [2, 2]],
    [1, [2, 2], [2]],
  ])('refuses along axis %d %j and %j', async (axis, a, b) => {
    const mistake = join(axis, randomTensor(1, a), randomTensor(2, b));
    await expect(mistake).rejects.toThrow(ShapeError);
    await expect(mistake).rejects.toThrow(/^concat\(part f32\[.*\], part f32\[.*\]\): parts must/);
  });

  test('refuses parts of two dtypes', async () => {
    await expect(join(0, randomTensor(1, [2]), randomTensor(2, [2], 'f16'))).rejects.toThrow(
      'parts must have the same dtype',
    );
  });
});
