import { defineOp, elementCount, type Value } from '@rwkv-js/tensor';
import { broadcastTo } from './broadcast-to.ts';
import { floats } from './floats.ts';
import { likeX } from './shape-rules.ts';

/** Sum along the last axis, which stays with size 1: x [..., n] → [..., 1]. */
export const sum = defineOp<(x: Value) => Value>({
  name: 'sum',
  arguments: ['x'],
  infer(inputs, attributes, fail) {
    if (inputs[0]!.shape.length === 0) fail('x must have an axis to sum along');
    const [like] = likeX(inputs, attributes, fail);
    return [{ ...like!, shape: [...like!.shape.slice(0, -1), 1] }];
  },
  reference({ inputs, outputs }) {
    const x = floats(inputs[0]!);
    const y = outputs[0]!.data;
    const n = inputs[0]!.shape.at(-1)!;
    for (let row = 0; row < y.length; row++) {
      let total = 0;
      for (let i = 0; i < n; i++) total += x[row * n + i]!;
      y[row] = total;
    }
  },
  gradient: ({ inputs: [x], cotangents: [y] }) => [broadcastTo(y!, { shape: x!.shape })],
  operations: ([x]) => elementCount(x!.shape),
});
