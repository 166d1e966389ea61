import { defineOp, type Value } from '@rwkv-js/tensor';
import { floats } from './floats.ts';
import { likeX } from './shape-rules.ts';

/** Every element times a number that is fixed in the program: y = x · factor. Any shape. */
export const scale = defineOp<(x: Value, attributes: { factor: number }) => Value>({
  name: 'scale',
  arguments: ['x'],
  infer: likeX,
  reference({ inputs, outputs, attributes: { factor } }) {
    const x = floats(inputs[0]!);
    const y = outputs[0]!.data;
    for (let i = 0; i < y.length; i++) y[i] = x[i]! * factor;
  },
  gradient: ({ attributes, cotangents: [y] }): readonly Value[] => [scale(y!, attributes)],
  inPlace: [[0, 0]],
});
