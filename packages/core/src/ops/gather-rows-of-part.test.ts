import { evaluate, tensor, type HostTensor } from '@rwkv-js/tensor';
import { expect, test } from 'vitest';
import { elementsOf, randomTensor, rowsOf } from '../../test/numbers.ts';
import { openCpu } from '../cpu/device.ts';
import { gatherRowsOfPart } from './gather-rows-of-part.ts';
import { gatherRows } from './gather-rows.ts';
import { slice } from './slice.ts';

test.each(['f32', 'f16', 'bf16'] as const)(
  'a chain over all parts of a table gives its rows, in %s',
  async (dtype) => {
    await using device = openCpu();
    const table = randomTensor(1, [7, 3], dtype);
    const indexes = tensor([6], [0, 6, -1, 3, 2, 4], 'i32');
    const [whole, chained] = await evaluate(
      device,
      (values, at) => {
        const parts = [0, 3, 6].map((start) =>
          slice(values, { axis: 0, start, end: Math.min(7, start + 3) }),
        );
        const first = gatherRowsOfPart([parts[0], at], { first: 0 });
        const second = gatherRowsOfPart([parts[1], at, first], { first: 3 });
        return [gatherRows(values, at), gatherRowsOfPart([parts[2], at, second], { first: 6 })];
      },
      table,
      indexes,
    );
    expect(chained).toEqual(whole);
  },
);

const gather = async (
  attributes: { first: number },
  ...values: HostTensor[]
): Promise<number[]> => {
  await using device = openCpu();
  const [y] = await evaluate(
    device,
    (...given) => [gatherRowsOfPart(given, attributes)],
    ...values,
  );
  return elementsOf(y);
};

test('rows of other parts are those given, or zeros', async () => {
  const part = randomTensor(1, [2, 2]);
  const [first, second] = rowsOf(elementsOf(part), 2);
  const indexes = tensor([4], [5, 4, 6, -1], 'i32');
  expect(await gather({ first: 4 }, part, indexes)).toEqual([...second, ...first, 0, 0, 0, 0]);
  const others = randomTensor(2, [4, 2]);
  const kept = elementsOf(others).slice(4);
  expect(await gather({ first: 4 }, part, indexes, others)).toEqual([...second, ...first, ...kept]);
});

test('refuses what does not fit', async () => {
  const [part, indexes] = [randomTensor(1, [2, 3]), tensor([1], [0], 'i32')];
  await expect(gather({ first: -1 }, part, indexes)).rejects.toThrow('first -1 must be a row');
  await expect(gather({ first: 0 }, part, indexes, randomTensor(1, [2, 3]))).rejects.toThrow(
    'rows must be floating [indexes, width] = [1, 3]',
  );
  await expect(gather({ first: 0 }, part, part)).rejects.toThrow('indexes must be i32[2]');
});
