import { defineOp, type Value } from '@rwkv-js/tensor';
import { add } from './add.ts';
import { floats } from './floats.ts';
import { multiply } from './multiply.ts';
import { likeX } from './shape-rules.ts';
import { sigmoid } from './sigmoid.ts';
import { subtract } from './subtract.ts';

/** Every element times its sigmoid: y = x / (1 + e⁻ˣ). Any shape. */
export const silu = defineOp<(x: Value) => Value>({
  name: 'silu',
  arguments: ['x'],
  infer: likeX,
  reference({ inputs, outputs }) {
    const x = floats(inputs[0]!);
    const y = outputs[0]!.data;
    for (let i = 0; i < y.length; i++) y[i] = x[i]! / (1 + Math.exp(-x[i]!));
  },
  // With s the sigmoid of x, the slope is s + y (1 − s).
  gradient({ inputs: [x], outputs: [y], cotangents: [flow] }) {
    const s = sigmoid(x!);
    return [multiply(flow!, add(s, subtract(y!, multiply(y!, s))))];
  },
  inPlace: [[0, 0]],
});
