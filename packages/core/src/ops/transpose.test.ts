import { evaluate, ShapeError, tensor } from '@rwkv-js/tensor';
import { describe, expect, test } from 'vitest';
import { randomTensor } from '../../test/numbers.ts';
import { openCpu } from '../cpu/device.ts';
import { transpose } from './transpose.ts';

describe('transpose', () => {
  test.each(['f32', 'f16', 'bf16', 'i32', 'u32'] as const)(
    'exchanges axes in %s',
    async (dtype) => {
      await using device = openCpu();
      const [y] = await evaluate(
        device,
        (x) => [transpose(x)],
        tensor([2, 3], [1, 2, 3, 4, 5, 6], dtype),
      );
      expect(y).toEqual(tensor([3, 2], [1, 4, 2, 5, 3, 6], dtype));
    },
  );

  test('twice is nothing', async () => {
    await using device = openCpu();
    for (const shape of [
      [1, 1],
      [7, 5],
      [0, 3],
      [1, 9],
    ]) {
      const x = randomTensor(1, shape);
      const [y] = await evaluate(device, (value) => [transpose(transpose(value))], x);
      expect(y).toEqual(x);
    }
  });

  test.each([[[]], [[3]], [[1, 2, 3]]])('refuses %j', async (shape) => {
    await using device = openCpu();
    const mistake = evaluate(device, (x) => [transpose(x)], randomTensor(1, shape));
    await expect(mistake).rejects.toThrow(ShapeError);
    await expect(mistake).rejects.toThrow(
      `transpose(x f32[${shape.join(', ')}]): x must have 2 axes`,
    );
  });
});
