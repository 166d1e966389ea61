import { defineOp, type Value } from '@rwkv-js/tensor';
import { floats } from './floats.ts';
import { likeX } from './shape-rules.ts';

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
  inPlace: [[0, 0]],
});
