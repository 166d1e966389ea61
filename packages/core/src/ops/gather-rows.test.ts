import { evaluate, ShapeError, tensor, type HostTensor } from '@rwkv-js/tensor';
import { describe, expect, test } from 'vitest';
import { elementsOf, randomTensor, rowsOf } from '../../test/numbers.ts';
import { openCpu } from '../cpu/device.ts';
import { gatherRows } from './gather-rows.ts';

async function gather(table: HostTensor, indexes: HostTensor): Promise<HostTensor> {
  await using device = openCpu();
  const [y] = await evaluate(device, (a, b) => [gatherRows(a, b)], table, indexes);
  return y;
}

describe('gatherRows', () => {
  test.each(['f32', 'f16', 'bf16'] as const)('reads rows of a table in %s', async (dtype) => {
    const table = randomTensor(1, [7, 3], dtype);
    const indexes = [0, 6, 3, 3, 1];
    const rows = rowsOf(elementsOf(table), 3);
    expect(await gather(table, tensor([5], indexes, 'i32'))).toEqual(
      tensor(
        [5, 3],
        indexes.flatMap((index) => rows[index]),
      ),
    );
  });

  test.each(['f32', 'f16', 'bf16'] as const)('−1 gives zeros, in %s too', async (dtype) => {
    const table = randomTensor(1, [2, 3], dtype);
    const y = await gather(table, tensor([3], [-1, 1, -1], 'i32'));
    expect([...y.data].slice(0, 3)).toEqual([0, 0, 0]);
    expect([...y.data].slice(6)).toEqual([0, 0, 0]);
    expect([...y.data].slice(3, 6)).toEqual(elementsOf(table).slice(3));
  });

  test('rows of the run before do not shine through', async () => {
    await using device = openCpu();
    const table = randomTensor(1, [2, 2]);
    const [first, second] = await evaluate(
      device,
      (t, i, j) => [gatherRows(t, i), gatherRows(t, j)],
      table,
      tensor([1], [1], 'i32'),
      tensor([1], [-1], 'i32'),
    );
    expect([...first.data]).toEqual(elementsOf(table).slice(2));
    expect([...second.data]).toEqual([0, 0]);
  });

  test('keeps doubles on a device in doubles', async () => {
    await using device = openCpu({ precision: 'f64' });
    const [y] = await evaluate(
      device,
      (a, b) => [gatherRows(a, b)],
      tensor([2, 1], Float64Array.of(0.1, 0.2)),
      tensor([1], [1], 'i32'),
    );
    expect(y.data).toEqual(Float64Array.of(0.2));
  });

  test('no indexes give no rows', async () => {
    expect((await gather(randomTensor(1, [2, 3]), tensor([0], [], 'i32'))).shape).toEqual([0, 3]);
  });

  test('refuses what does not fit', async () => {
    const [table, indexes] = [randomTensor(1, [2, 3]), tensor([1], [0], 'i32')];
    await expect(gather(randomTensor(1, [3]), indexes)).rejects.toThrow(ShapeError);
    await expect(gather(randomTensor(1, [3]), indexes)).rejects.toThrow('table must have 2 axes');
    await expect(gather(tensor([1, 1], [1], 'i32'), indexes)).rejects.toThrow(
      'gatherRows(table i32[1, 1], indexes i32[1]): table must be of a floating dtype',
    );
    await expect(gather(table, tensor([1], [0]))).rejects.toThrow('indexes must be i32[1]');
    await expect(gather(table, tensor([], [0], 'i32'))).rejects.toThrow('indexes must be i32[0]');
  });
});
