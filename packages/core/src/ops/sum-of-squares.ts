import { defineOp, elementCount, type Value } from '@rwkv-js/tensor';
import { floats } from './floats.ts';
import { likeX } from './shape-rules.ts';

/** The sum of the squares of all elements: x of any shape → f32 []. */
export const sumOfSquares = defineOp<(x: Value) => Value>({
  name: 'sumOfSquares',
  arguments: ['x'],
  infer(inputs, attributes, fail) {
    const [like] = likeX(inputs, attributes, fail);
    return [{ ...like!, shape: [] }];
  },
  reference({ inputs, outputs }) {
    const x = floats(inputs[0]!);
    let total = 0;
    for (let i = 0; i < x.length; i++) total += x[i]! * x[i]!;
    outputs[0]!.data[0] = total;
  },
  operations: ([x]) => 2 * elementCount(x!.shape),
});
