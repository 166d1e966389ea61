import { evaluate, ShapeError } from '@rwkv-js/tensor';
import { describe, expect, test } from 'vitest';
import { randomTensor } from '../../test/numbers.ts';
import { openCpu } from '../cpu/device.ts';
import { exp } from './exp.ts';
import { reshape } from './reshape.ts';

describe('reshape', () => {
  test('gives the same elements under another shape, at no cost', async () => {
    await using device = openCpu();
    const x = randomTensor(1, [2, 6]);
    const [y, z] = await evaluate(
      device,
      (value) => {
        const computed = exp(value);
        return [computed, reshape(reshape(computed, { shape: [12] }), { shape: [3, 1, 4] })];
      },
      x,
    );
    expect(z).toEqual({ ...y, shape: [3, 1, 4] });
  });

  test('goes through numbers without axes and tensors without elements', async () => {
    await using device = openCpu();
    const [y] = await evaluate(
      device,
      (x) => [exp(reshape(x, { shape: [] }))],
      randomTensor(1, [1, 1]),
    );
    expect(y.shape).toEqual([]);
    const [none] = await evaluate(
      device,
      (x) => [exp(reshape(x, { shape: [5, 0] }))],
      randomTensor(1, [0]),
    );
    expect(none.shape).toEqual([5, 0]);
  });

  test.each([[[5]], [[-2, -3]], [[1.5, 4]], [[]]])('refuses 6 elements as %j', async (shape) => {
    await using device = openCpu();
    const mistake = evaluate(device, (x) => [reshape(x, { shape })], randomTensor(1, [2, 3]));
    await expect(mistake).rejects.toThrow(ShapeError);
    await expect(mistake).rejects.toThrow(/^reshape\(x f32\[2, 3\]\): /);
  });
});
