import { defineOp, type Value } from '@rwkv-js/tensor';
import { floats } from './floats.ts';
import { likeX } from './shape-rules.ts';

/** The square root of every element. Any shape. */
export const sqrt = defineOp<(x: Value) => Value>({
  name: 'sqrt',
  arguments: ['x'],
  infer: likeX,
  reference({ inputs, outputs }) {
    const x = floats(inputs[0]!);
    const y = outputs[0]!.data;
    for (let i = 0; i < y.length; i++) y[i] = Math.sqrt(x[i]!);
  },
  inPlace: [[0, 0]],
});
