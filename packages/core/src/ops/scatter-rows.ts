import { defineOp, elementCount, type Value } from '@rwkv-js/tensor';
import type { Floats } from './floats.ts';
import { expectIndexes, matrix } from './shape-rules.ts';

/**
 * Rows added up by index, y[index[i]] += x[i], from zeros: what flows back through `gatherRows`. Rows of
 * index −1 are left out; rows of the same index are added in their order, so the bits are always the
 * same.
 *
 * x: f32 [n, width]; indexes: i32 [n], each −1 or below `rows` (callers check). Result: f32 [rows, width].
 */
export const scatterRows = defineOp<
  (x: Value, indexes: Value, attributes: { rows: number }) => Value
>({
  name: 'scatterRows',
  arguments: ['x', 'indexes'],
  infer([x, indexes], { rows }, fail) {
    const [count, width] = matrix(x!, 'x', fail);
    if (x!.dtype !== 'f32') fail('x must be f32');
    expectIndexes(indexes!, 'indexes', count, fail);
    return [{ dtype: 'f32', shape: [rows, width] }];
  },
  reference({ inputs: [x, indexes], outputs }) {
    const y = outputs[0]!.data as Floats;
    const width = x!.shape[1]!;
    y.fill(0);
    indexes!.data.forEach((index, i) => {
      if (index < 0) return;
      const target = y.subarray(index * width, (index + 1) * width);
      for (let c = 0; c < width; c++) target[c]! += x!.data[i * width + c]!;
    });
  },
  operations: ([x]) => elementCount(x!.shape),
});
