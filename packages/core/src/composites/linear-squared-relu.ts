import { defineOp, type Value } from '@rwkv-js/tensor';
import { linear } from '../ops/linear.ts';
import { relu } from '../ops/relu.ts';
import { square } from '../ops/square.ts';

/**
 * The first half of the channel mixing: y = max(0, x Wᵀ)². x: [tokens, in]; weight: [out, in].
 * Specification: channel mix.
 */
export const linearSquaredRelu = defineOp<(x: Value, weight: Value) => Value>({
  name: 'linearSquaredRelu',
  arguments: ['x', 'weight'],
  infer: linear.definition.infer,
  lower: ([x, weight]) => [square(relu(linear(x!, weight!)))],
});
