import { defineOp, sameShape, type Value } from '@rwkv-js/tensor';
import { broadcastShape, expand } from './floats.ts';
import { likeX } from './shape-rules.ts';
import { sumToShape } from './sum-to.ts';

/** x repeated to a larger shape, axes aligned from the last: [heads, 1] → [heads, headSize]. f32. */
export const broadcastTo = defineOp<(x: Value, attributes: { shape: readonly number[] }) => Value>({
  name: 'broadcastTo',
  arguments: ['x'],
  infer(inputs, { shape }, fail) {
    const both = broadcastShape(inputs[0]!.shape, shape);
    if (!both || !sameShape(both, shape)) {
      fail(`x must broadcast to [${shape.join(', ')}]`);
    }
    const [like] = likeX(inputs, {}, fail);
    return [{ ...like!, shape }];
  },
  reference({ inputs, outputs }) {
    const { data, shape } = outputs[0]!;
    data.set(expand(inputs[0]!, shape));
  },
  gradient: ({ inputs: [x], cotangents: [y] }) => [sumToShape(y!, x!.shape)],
  operations: () => 0,
});
