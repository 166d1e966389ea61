import { defineOp, elementCount, sameShape, sizeAt, type Shape, type Value } from '@rwkv-js/tensor';
import { broadcastShape, expand, floats } from './floats.ts';
import { likeX } from './shape-rules.ts';

/**
 * Sum over the axes along which `shape` would repeat to become that of x; what flows back to an operand
 * that was broadcast. Axes are aligned from the last: x [tokens, width] to shape [width] or [tokens, 1].
 *
 * x: any shape that `shape` broadcasts to. Result: f32, of `shape`. Sums run in the order of x.
 */
export const sumTo = defineOp<(x: Value, attributes: { shape: readonly number[] }) => Value>({
  name: 'sumTo',
  arguments: ['x'],
  infer(inputs, { shape }, fail) {
    const { shape: from } = inputs[0]!;
    const broadcasts = broadcastShape(shape, from);
    if (shape.length > from.length || !broadcasts || !sameShape(broadcasts, from)) {
      fail(`[${shape.join(', ')}] must broadcast to the shape of x`);
    }
    const [like] = likeX(inputs, {}, fail);
    return [{ ...like!, shape }];
  },
  reference({ inputs: [x], outputs: [y] }) {
    const elements = floats(x!);
    const sums = new Float64Array(y!.data.length);
    if (isEnd(y!.shape, x!.shape)) {
      for (let from = 0; from < elements.length; from += sums.length) {
        for (let i = 0; i < sums.length; i++) sums[i]! += elements[from + i]!;
      }
    } else {
      // Where each element of x is added: the elements of y, repeated like y itself would be.
      const places = expand({ ...y!, data: sums.map((_, i) => i) }, x!.shape);
      for (let i = 0; i < elements.length; i++) sums[places[i]!]! += elements[i]!;
    }
    y!.data.set(sums);
  },
  operations: ([x]) => elementCount(x!.shape),
});

/** True when `shape` repeats as a whole: its axes, but for leading ones of size one, are the last of `of`. */
function isEnd(shape: Shape, of: Shape): boolean {
  const first = shape.findIndex((size) => size !== 1);
  const rest = first < 0 ? [] : shape.slice(first);
  return rest.every((size, i) => size === sizeAt(of, i - rest.length));
}

/** A gradient summed to the shape of an operand that may have been broadcast. */
export function sumToShape(gradient: Value, shape: Shape): Value {
  return sameShape(gradient.shape, shape) ? gradient : sumTo(gradient, { shape });
}
