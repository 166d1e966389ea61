import { defineOp, type Value } from '@rwkv-js/tensor';
import { floats } from './floats.ts';
import { reluBackward } from './relu-backward.ts';
import { likeX } from './shape-rules.ts';

/** Every element, or 0 where it is negative. NaN stays NaN. Any shape. */
export const relu = defineOp<(x: Value) => Value>({
  name: 'relu',
  arguments: ['x'],
  infer: likeX,
  reference({ inputs, outputs }) {
    const x = floats(inputs[0]!);
    const y = outputs[0]!.data;
    for (let i = 0; i < y.length; i++) y[i] = x[i]! < 0 ? 0 : x[i]!;
  },
  gradient: ({ inputs: [x], cotangents: [y] }) => [reluBackward(x!, y!)],
  inPlace: [[0, 0]],
});
