import {
  defineOp,
  elementCount,
  nearest,
  pack,
  q8Activations,
  type PackedSpec,
  type Shape,
  type TensorSpec,
  type Value,
} from '@rwkv-js/tensor';
import { floats } from './floats.ts';
import type { Fail } from './shape-rules.ts';

/**
 * Activations as 8-bit blocks of 32 along the last axis, so that a product with packed weights runs in
 * integers: scale = max |x| / 127 of the block, quant = x / scale to the nearest, halves to even.
 *
 * x: [..., width], f32; width is a multiple of 32. Result: of the same shape, its dtype `q8-activations`
 * (packed.ts of the tensor package). A block with NaN or infinity has quants of no meaning and a scale
 * that is not finite, so what is computed with it is not finite either.
 */
export const quantize = defineOp<(x: Value) => Value>({
  name: 'quantize',
  arguments: ['x'],
  infer([x], _, fail) {
    if (x!.dtype !== 'f32') fail('x must be f32');
    return [quantizedRows(x!.shape, fail)];
  },
  reference({ inputs: [x], outputs: [y] }) {
    const values = Float32Array.from(floats(x!));
    y!.data.set(pack({ dtype: q8Activations, shape: y!.shape } as PackedSpec, values, rounding));
  },
  // As if nothing was rounded, which is how training through quantisation is done.
  gradient: ({ cotangents: [y] }) => [y],
  operations: ([x]) => 3 * elementCount(x!.shape),
});

const rounding = nearest(q8Activations);

/** The spec of rows as `quantize` makes them: shape rule of what gives its result so at once, too. */
export function quantizedRows(shape: Shape, fail: Fail): TensorSpec {
  const width = shape.at(-1) ?? 0;
  if (shape.length === 0 || width % q8Activations.block !== 0) {
    fail(
      `the last axis of rows to quantise must be a multiple of ${q8Activations.block}, not ${width}`,
    );
  }
  return { dtype: q8Activations, shape };
}
