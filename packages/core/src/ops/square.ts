import { defineOp, type Value } from '@rwkv-js/tensor';
import { floats } from './floats.ts';
import { multiply } from './multiply.ts';
import { scale } from './scale.ts';
import { likeX } from './shape-rules.ts';

/** The square of every element: y = x². Any shape. */
export const square = defineOp<(x: Value) => Value>({
  name: 'square',
  arguments: ['x'],
  infer: likeX,
  reference({ inputs, outputs }) {
    const x = floats(inputs[0]!);
    const y = outputs[0]!.data;
    for (let i = 0; i < y.length; i++) y[i] = x[i]! * x[i]!;
  },
  gradient: ({ inputs: [x], cotangents: [y] }) => [scale(multiply(y!, x!), { factor: 2 })],
  inPlace: [[0, 0]],
});
