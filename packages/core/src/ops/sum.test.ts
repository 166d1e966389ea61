import { evaluate, tensor, type HostTensor } from '@rwkv-js/tensor';
import { describe, expect, test } from 'vitest';
import { elementsOf, randomTensor, relativeError, rowsOf } from '../../test/numbers.ts';
import { openCpu } from '../cpu/device.ts';
import { sum } from './sum.ts';

async function total(x: HostTensor): Promise<HostTensor> {
  await using device = openCpu();
  const [y] = await evaluate(device, (value) => [sum(value)], x);
  return y;
}

describe('sum', () => {
  test.each([[[5]], [[3, 7]], [[2, 3, 4]]])('adds along the last axis of %j', async (shape) => {
    for (const dtype of ['f32', 'f16', 'bf16'] as const) {
      const x = randomTensor(1, shape, dtype);
      const expected = rowsOf(elementsOf(x), shape.at(-1)!).map((row) =>
        row.reduceRight((all, e) => all + e, 0),
      );
      const y = await total(x);
      expect(y.shape).toEqual([...shape.slice(0, -1), 1]);
      expect(relativeError(y.data, expected)).toBeLessThan(1e-6);
    }
  });

  test('runs in double precision', async () => {
    expect((await total(tensor([3], [1e8, 1, -1e8]))).data).toEqual(Float32Array.of(1));
  });

  test('of nothing is 0', async () => {
    expect(await total(tensor([2, 0], []))).toEqual(tensor([2, 1], [0, 0]));
  });

  test('refuses single numbers and integers', async () => {
    await expect(total(tensor([], [1]))).rejects.toThrow(
      'sum(x f32[]): x must have an axis to sum along',
    );
    await expect(total(tensor([1], [1], 'u32'))).rejects.toThrow('floating dtype');
  });
});
