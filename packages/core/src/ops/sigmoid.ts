import { defineOp, type Value } from '@rwkv-js/tensor';
import { floats } from './floats.ts';
import { multiply } from './multiply.ts';
import { likeX } from './shape-rules.ts';
import { square } from './square.ts';
import { subtract } from './subtract.ts';

/** The logistic sigmoid of every element: y = 1 / (1 + e⁻ˣ). Any shape. */
export const sigmoid = defineOp<(x: Value) => Value>({
  name: 'sigmoid',
  arguments: ['x'],
  infer: likeX,
  reference({ inputs, outputs }) {
    const x = floats(inputs[0]!);
    const y = outputs[0]!.data;
    for (let i = 0; i < y.length; i++) y[i] = 1 / (1 + Math.exp(-x[i]!));
  },
  gradient: ({ outputs: [y], cotangents: [flow] }) => [multiply(flow!, subtract(y!, square(y!)))],
  inPlace: [[0, 0]],
});
