import { elementCount, type HostTensor, type TensorSpec, type Value } from '@rwkv-js/tensor';
import { concat } from './concat.ts';
import { reshape } from './reshape.ts';
import { scale } from './scale.ts';
import { slice } from './slice.ts';

/**
 * Values of one shape as one, along a new first axis, 16-bit floats as f32: fewer buffers for a kernel
 * that takes many.
 */
export function stack(values: readonly Value[]): Value {
  const parts = values.map((value) => {
    const wide = value.dtype === 'f32' ? value : scale(value, { factor: 1 });
    return reshape(wide, { shape: [1, ...value.shape] });
  });
  return concat(parts, { axis: 0 });
}

/** What was stacked, apart again. */
export function unstack(value: Value): Value[] {
  const [count, ...shape] = value.shape;
  return Array.from({ length: count! }, (_, i) =>
    reshape(slice(value, { axis: 0, start: i, end: i + 1 }), { shape }),
  );
}

/** The specs of what is stacked in a tensor. */
export function stackedSpecs({ dtype, shape }: TensorSpec): readonly TensorSpec[] {
  return Array.from({ length: shape[0] ?? 0 }, () => ({ dtype, shape: shape.slice(1) }));
}

/** What is stacked in a tensor, sharing its memory. */
export function stackedTensors({ dtype, shape, data }: HostTensor): readonly HostTensor[] {
  const size = elementCount(shape.slice(1));
  return Array.from({ length: shape[0]! }, (_, i) => ({
    dtype,
    shape: shape.slice(1),
    data: data.subarray(i * size, (i + 1) * size),
  }));
}
