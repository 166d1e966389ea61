import { defineOp, type Value } from '@rwkv-js/tensor';
import { floats } from './floats.ts';
import { multiply } from './multiply.ts';
import { likeX } from './shape-rules.ts';

/** The exponential of every element: y = eˣ. Any shape. */
export const exp = defineOp<(x: Value) => Value>({
  name: 'exp',
  arguments: ['x'],
  infer: likeX,
  reference({ inputs, outputs }) {
    const x = floats(inputs[0]!);
    const y = outputs[0]!.data;
    for (let i = 0; i < y.length; i++) y[i] = Math.exp(x[i]!);
  },
  gradient: ({ outputs: [y], cotangents: [flow] }) => [multiply(flow!, y!)],
  inPlace: [[0, 0]],
});
