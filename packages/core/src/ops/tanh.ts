import { defineOp, type Value } from '@rwkv-js/tensor';
import { floats } from './floats.ts';
import { multiply } from './multiply.ts';
import { likeX } from './shape-rules.ts';
import { square } from './square.ts';
import { subtract } from './subtract.ts';

/** The hyperbolic tangent of every element. Any shape. */
export const tanh = defineOp<(x: Value) => Value>({
  name: 'tanh',
  arguments: ['x'],
  infer: likeX,
  reference({ inputs, outputs }) {
    const x = floats(inputs[0]!);
    const y = outputs[0]!.data;
    for (let i = 0; i < y.length; i++) y[i] = Math.tanh(x[i]!);
  },
  gradient: ({ outputs: [y], cotangents: [flow] }) => [
    subtract(flow!, multiply(flow!, square(y!))),
  ],
  inPlace: [[0, 0]],
});
