import { evaluate, ShapeError, tensor, type HostTensor, type Shape } from '@rwkv-js/tensor';
import { describe, expect, test } from 'vitest';
import { repeated } from '../../test/element-wise.ts';
import { randomTensor } from '../../test/numbers.ts';
import { openCpu } from '../cpu/device.ts';
import { broadcastTo } from './broadcast-to.ts';

async function broadcast(x: HostTensor, shape: Shape): Promise<HostTensor> {
  await using device = openCpu();
  const [y] = await evaluate(device, (value) => [broadcastTo(value, { shape })], x);
  return y;
}

describe('broadcastTo', () => {
  test.each<[Shape, Shape]>([
    [
      [3, 1],
      [3, 5],
    ],
    [[5], [3, 5]],
    [[], []],
    [[], [2, 2]],
    [
      [2, 1, 3],
      [2, 4, 3],
    ],
    [
      [1, 2, 1],
      [5, 3, 2, 4],
    ],
    [
      [3, 1],
      [3, 0],
    ],
    [
      [2, 3],
      [2, 3],
    ],
  ])('repeats %j to %j', async (from, to) => {
    for (const dtype of ['f32', 'f16', 'bf16'] as const) {
      const x = randomTensor(1, from, dtype);
      expect(await broadcast(x, to)).toEqual(tensor(to, repeated(x, to)));
    }
  });

  test.each<[Shape, Shape]>([
    [
      [3, 5],
      [3, 1],
    ],
    [[3], [2]],
    [[1], []],
    [
      [2, 3],
      [2, 3, 1],
    ],
  ])('refuses %j to %j', async (from, to) => {
    await expect(broadcast(randomTensor(1, from), to)).rejects.toThrow(ShapeError);
    await expect(broadcast(randomTensor(1, from), to)).rejects.toThrow(
      `x must broadcast to [${to.join(', ')}]`,
    );
  });

  test('refuses sizes that are no counts', async () => {
    await expect(broadcast(randomTensor(1, [1]), [-1])).rejects.toThrow(ShapeError);
    await expect(broadcast(randomTensor(1, [1]), [1.5])).rejects.toThrow(ShapeError);
  });
});
