import { defineOp, type Value } from '@rwkv-js/tensor';
import { floats } from './floats.ts';
import { likeX } from './shape-rules.ts';

/** Every element with its sign turned: y = −x. Any shape. */
export const negate = defineOp<(x: Value) => Value>({
  name: 'negate',
  arguments: ['x'],
  infer: likeX,
  reference({ inputs, outputs }) {
    const x = floats(inputs[0]!);
    const y = outputs[0]!.data;
    for (let i = 0; i < y.length; i++) y[i] = -x[i]!;
  },
  gradient: ({ cotangents: [y] }): readonly Value[] => [negate(y!)],
  inPlace: [[0, 0]],
});
