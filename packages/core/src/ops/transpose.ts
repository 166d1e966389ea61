import { defineOp, isPacked, transposedDType, type Value } from '@rwkv-js/tensor';
import { matrix } from './shape-rules.ts';

/**
 * A matrix with its axes exchanged: x [a, b] → [b, a]. Any dtype; elements are moved, not changed. The
 * blocks of a packed matrix then run along the other axis, and its bytes stay as they are.
 */
export const transpose = defineOp<(x: Value) => Value>({
  name: 'transpose',
  arguments: ['x'],
  infer([x], _, fail) {
    const [rows, columns] = matrix(x!, 'x', fail);
    return [{ dtype: transposedDType(x!.dtype), shape: [columns, rows] }];
  },
  reference({ inputs: [x], outputs }) {
    const from = x!.data;
    const y = outputs[0]!.data;
    if (isPacked(x!.dtype)) {
      y.set(x!.data);
      return;
    }
    const [rows, columns] = x!.shape as [number, number];
    for (let row = 0; row < rows; row++) {
      for (let column = 0; column < columns; column++) {
        y[column * rows + row] = from[row * columns + column]!;
      }
    }
  },
  gradient: ({ cotangents: [y] }): readonly Value[] => [transpose(y!)],
  operations: () => 0,
});
