import { byteLength, defineOp, isPacked, type Value } from '@rwkv-js/tensor';
import { rowsAsFloats } from './floats.ts';
import { expectFloats, expectIndexes, floatMatrix } from './shape-rules.ts';

/**
 * Rows of a part of a table by index, over those that its other parts gave: y[i] = part[indexes[i] − first]
 * where the part has that row, else rows[i], and zeros where `rows` is left out. `gatherRows` becomes a chain of
 * it on a device that cannot bind the whole table.
 *
 * part: [rows of the part, width], floating; indexes: i32 [n]; rows: f32 [n, width].
 * `first` is the row of the table that the part begins with. Result: f32 [n, width].
 */
export const gatherRowsOfPart = defineOp<
  (partIndexesRows: readonly Value[], attributes: { first: number }) => Value
>({
  name: 'gatherRowsOfPart',
  arguments: ['part', 'indexes', 'rows?'],
  infer([part, indexes, rows], { first }, fail) {
    const [, width] = floatMatrix(part!, 'part', fail);
    if (isPacked(part!.dtype) && part!.dtype.axis !== -1) fail('blocks must run along rows');
    if (!Number.isInteger(first) || first < 0) fail(`first ${first} must be a row of the table`);
    const count = indexes!.shape[0] ?? 0;
    expectIndexes(indexes!, 'indexes', count, fail);
    if (rows) expectFloats(rows, 'rows', [count, width], '[indexes, width]', fail);
    return [{ dtype: 'f32', shape: [count, width] }];
  },
  reference({ inputs: [part, indexes, rows], outputs, attributes: { first } }) {
    const y = outputs[0]!.data;
    const [count, width] = part!.shape as [number, number];
    indexes!.data.forEach((index, i) => {
      const target = y.subarray(i * width, (i + 1) * width);
      const place = index - first;
      if (place >= 0 && place < count) target.set(rowsAsFloats(part!, place, 1));
      else if (rows) target.set(rows.data.subarray(i * width, (i + 1) * width));
      else target.fill(0);
    });
  },
  bytesRead: ([part, indexes, rows]) =>
    byteLength(indexes!) +
    byteLength({ ...part!, shape: [indexes!.shape[0]!, part!.shape[1]!] }) +
    (rows ? byteLength(rows) : 0),
  operations: () => 0,
});
