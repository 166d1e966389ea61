import { defineOp, type Value } from '@rwkv-js/tensor';
import { linear } from '../ops/linear.ts';

/**
 * `linear` for rows with many zeros, such as squared ReLUs give: the same result, and a kernel may skip
 * the columns of the matrix that meet a zero. x: [tokens, in]; weight: [out, in].
 */
export const linearOfSparse = defineOp<(x: Value, weight: Value) => Value>({
  name: 'linearOfSparse',
  arguments: ['x', 'weight'],
  infer: linear.definition.infer,
  lower: ([x, weight]) => [linear(x!, weight!)],
});
