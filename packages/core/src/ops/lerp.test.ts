import { evaluate, ShapeError, tensor, type HostTensor, type Shape } from '@rwkv-js/tensor';
import { describe, expect, test } from 'vitest';
import { repeated } from '../../test/element-wise.ts';
import { elementsOf, randomTensor } from '../../test/numbers.ts';
import { openCpu } from '../cpu/device.ts';
import { lerp } from './lerp.ts';

async function between(...of: readonly HostTensor[]): Promise<HostTensor> {
  await using device = openCpu();
  const [y] = await evaluate(device, (x, z, amount) => [lerp(x, z, amount)], ...of);
  return y;
}

describe('lerp', () => {
  test.each<[Shape, Shape]>([
    [[3, 5], [5]],
    [
      [3, 5],
      [3, 5],
    ],
    [
      [3, 5],
      [3, 1],
    ],
    [
      [3, 5],
      [1, 5],
    ],
    [[2, 3, 4], []],
    [[], []],
    [[0, 4], [4]],
  ])('mixes %j with amounts %j', async (shape, amounts) => {
    for (const dtype of ['f32', 'f16', 'bf16'] as const) {
      const [x, y] = [randomTensor(1, shape, dtype), randomTensor(2, shape, dtype)];
      const amount = randomTensor(3, amounts, dtype);
      const [a, b, m] = [elementsOf(x), elementsOf(y), repeated(amount, shape)];
      const found = await between(x, y, amount);
      expect(found).toEqual(
        tensor(
          shape,
          a.map((e, i) => e + (b[i] - e) * m[i]),
        ),
      );
    }
  });

  test('amount 0 is x and 1 is y', async () => {
    const [x, y] = [randomTensor(1, [4]), randomTensor(2, [4])];
    const found = await between(x, y, tensor([4], [0, 1, 0, 1]));
    expect([...found.data]).toEqual([x.data[0], y.data[1], x.data[2], y.data[3]]);
  });

  test.each<[Shape, Shape, Shape, string]>([
    [[3, 5], [5], [5], 'x and y must have the same shape'],
    [[3, 5], [1, 5], [5], 'x and y must have the same shape'],
    [[5], [3, 5], [5], 'x and y must have the same shape'],
    [[5], [5], [3, 5], 'amount must broadcast to the shape of x'],
    [[5], [5], [4], 'amount must broadcast to the shape of x'],
    [[1], [1], [5], 'amount must broadcast to the shape of x'],
  ])('refuses %j, %j by %j', async (x, y, amount, message) => {
    const mistake = between(randomTensor(1, x), randomTensor(2, y), randomTensor(3, amount));
    await expect(mistake).rejects.toThrow(ShapeError);
    await expect(mistake).rejects.toThrow(/^lerp\(x f32\[.*\], y f32\[.*\], amount f32\[.*\]\): /);
    await expect(mistake).rejects.toThrow(message);
  });

  test('refuses integers anywhere', async () => {
    const [x, i] = [randomTensor(1, [2]), tensor([2], [1, 2], 'i32')];
    for (const of of [
      [i, x, x],
      [x, i, x],
      [x, x, i],
    ]) {
      await expect(between(...of)).rejects.toThrow('all must be of a floating dtype');
    }
  });
});
