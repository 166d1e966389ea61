import {
  elementCount,
  halfValues,
  sameShape,
  sizeAt,
  type HostTensor,
  type Shape,
} from '@rwkv-js/tensor';

/** Elements of an activation: single precision, or double on a device that was opened for it. */
export type Floats = Float32Array | Float64Array;

/** The elements of a floating tensor as numbers; 16-bit floats are widened into a new array. */
export function floats(tensor: HostTensor): Floats {
  const { data } = tensor;
  if (data instanceof Float32Array || data instanceof Float64Array) return data;
  const wide = new Float32Array(data.length);
  const values = halfValues(tensor.dtype as 'f16' | 'bf16');
  for (let i = 0; i < wide.length; i++) wide[i] = values[data[i]!]!;
  return wide;
}

/**
 * The shape of an element-wise result: axes are aligned from the last, and an axis of size one, or
 * one that is missing, repeats. Undefined when the shapes do not go together.
 */
export function broadcastShape(a: Shape, b: Shape): Shape | undefined {
  const rank = Math.max(a.length, b.length);
  const result: number[] = [];
  for (let axis = 1; axis <= rank; axis++) {
    const [sizeA, sizeB] = [sizeAt(a, -axis), sizeAt(b, -axis)];
    if (sizeA !== sizeB && sizeA !== 1 && sizeB !== 1) return undefined;
    result.unshift(sizeA === 1 ? sizeB : sizeA);
  }
  return result;
}

/** The elements of `tensor` repeated to `shape`; the tensor's own array when nothing repeats. */
export function expand(tensor: HostTensor, shape: Shape): Floats {
  const source = floats(tensor);
  if (sameShape(tensor.shape, shape)) return source;
  const count = elementCount(shape);
  const target = source instanceof Float64Array ? new Float64Array(count) : new Float32Array(count);
  // Walk the axes of `shape`, slowest first; a repeated axis does not move in the source.
  const strides: number[] = [];
  let stride = 1;
  for (let axis = 1; axis <= shape.length; axis++) {
    const size = sizeAt(tensor.shape, -axis);
    strides.unshift(size === 1 ? 0 : stride);
    stride *= size;
  }
  const fill = (axis: number, from: number, to: number): number => {
    const size = shape[axis]!;
    const step = strides[axis]!;
    if (axis === shape.length - 1) {
      for (let i = 0; i < size; i++) target[to + i] = source[from + i * step]!;
      return to + size;
    }
    for (let i = 0; i < size; i++) to = fill(axis + 1, from + i * step, to);
    return to;
  };
  if (shape.length === 0) target[0] = source[0]!;
  else fill(0, 0, 0);
  return target;
}
