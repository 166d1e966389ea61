import { defineOp, type Value } from '@rwkv-js/tensor';
import { likeX } from './shape-rules.ts';

/** Zeros of the shape of x; x is not read. Written over a state, it clears it. f32. */
export const zerosLike = defineOp<(x: Value) => Value>({
  name: 'zerosLike',
  arguments: ['x'],
  infer: likeX,
  reference({ outputs }) {
    outputs[0]!.data.fill(0);
  },
  gradient: () => [undefined],
  inPlace: [[0, 0]],
  bytesRead: () => 0,
  operations: () => 0,
});
