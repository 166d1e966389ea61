import { byteLength, defineOp, isPacked, type Value } from '@rwkv-js/tensor';
import { rowsAsFloats } from './floats.ts';
import { gatherRowsOfPart } from './gather-rows-of-part.ts';
import { scatterRows } from './scatter-rows.ts';
import { expectIndexes, floatMatrix } from './shape-rules.ts';
import { slice } from './slice.ts';

/**
 * Rows of a table by index: y[i] = table[indexes[i]]. Index −1 gives a row of zeros. It reads
 * embeddings, and picks the rows whose logits are wanted.
 *
 * table: [rows, width], floating; indexes: i32 [n], each −1 or below `rows` (callers check).
 * Result: f32 [n, width].
 */
export const gatherRows = defineOp<(table: Value, indexes: Value) => Value>({
  name: 'gatherRows',
  arguments: ['table', 'indexes'],
  infer([table, indexes], _, fail) {
    const [, width] = floatMatrix(table!, 'table', fail);
    if (isPacked(table!.dtype) && table!.dtype.axis !== -1) fail('blocks must run along rows');
    const count = indexes!.shape[0] ?? 0;
    expectIndexes(indexes!, 'indexes', count, fail);
    return [{ dtype: 'f32', shape: [count, width] }];
  },
  reference({ inputs: [table, indexes], outputs }) {
    const y = outputs[0]!.data;
    const width = table!.shape[1]!;
    indexes!.data.forEach((index, i) => {
      const target = y.subarray(i * width, (i + 1) * width);
      if (index < 0) target.fill(0);
      else target.set(rowsAsFloats(table!, index, 1));
    });
  },
  byRows: {
    argument: 0,
    build: ([table, indexes], parts) =>
      parts.reduce<readonly Value[]>((rows, part) => {
        const rowsOfPart = slice(table!, { axis: 0, ...part });
        return [gatherRowsOfPart([rowsOfPart, indexes!, ...rows], { first: part.start })];
      }, []),
  },
  gradient: ({ inputs: [table, indexes], cotangents: [y] }) => [
    scatterRows(y!, indexes!, { rows: table!.shape[0]! }),
    undefined,
  ],
  bytesRead: ([table, indexes]) =>
    byteLength(indexes!) + byteLength({ ...table!, shape: [indexes!.shape[0]!, table!.shape[1]!] }),
  operations: () => 0,
});
