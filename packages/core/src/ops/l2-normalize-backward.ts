import { defineOp, elementCount, sameShape, type Value } from '@rwkv-js/tensor';
import { floats } from './floats.ts';
import { likeX } from './shape-rules.ts';

/**
 * The gradient of `l2Normalize`: with y = x / ‖x‖, dx = (cotangent − y (y · cotangent)) / ‖x‖; where the
 * length is below its floor of 1e−12, cotangent / 1e−12.
 *
 * x, cotangent: [..., n], the same shape. Result: f32, the same shape. Specification: RWKV-7, backward
 * of the time mix.
 */
export const l2NormalizeBackward = defineOp<(x: Value, cotangent: Value) => Value>({
  name: 'l2NormalizeBackward',
  arguments: ['x', 'cotangent'],
  infer(inputs, attributes, fail) {
    if (!sameShape(inputs[0]!.shape, inputs[1]!.shape)) fail('both must have the same shape');
    return likeX(inputs, attributes, fail);
  },
  reference({ inputs, outputs }) {
    const [x, cotangent] = [floats(inputs[0]!), floats(inputs[1]!)];
    const dx = outputs[0]!.data;
    const n = inputs[0]!.shape.at(-1)!;
    for (let start = 0; start < dx.length; start += n) {
      let squares = 0;
      let product = 0;
      for (let i = 0; i < n; i++) {
        squares += x[start + i]! ** 2;
        product += x[start + i]! * cotangent[start + i]!;
      }
      const length = Math.sqrt(squares);
      const scale = 1 / Math.max(length, 1e-12);
      const along = length > 1e-12 ? product / squares : 0;
      for (let i = 0; i < n; i++)
        dx[start + i] = (cotangent[start + i]! - x[start + i]! * along) * scale;
    }
  },
  operations: ([x]) => 8 * elementCount(x!.shape),
});
