import {
  elementCount,
  halfValues,
  isPacked,
  sizeAt,
  unpack,
  unpackLines,
  type HostTensor,
  type Shape,
} from '@rwkv-js/tensor';

/** Elements of an activation: single precision, or double on a device that was opened for it. */
export type Floats = Float32Array | Float64Array;

/** The elements of a floating tensor as numbers; those that are not plain ones go into a new array. */
export function floats(tensor: HostTensor): Floats {
  const { data, dtype, shape } = tensor;
  if (isPacked(dtype)) return unpack({ dtype, shape }, data as Uint8Array);
  if (data instanceof Float32Array || data instanceof Float64Array) return data;
  const wide = new Float32Array(data.length);
  const values = halfValues(tensor.dtype as 'f16' | 'bf16');
  for (let i = 0; i < wide.length; i++) wide[i] = values[data[i]!]!;
  return wide;
}

/** Rows of a floating matrix as numbers: `count` of them from `first`. */
export function rowsAsFloats(tensor: HostTensor, first: number, count: number): Floats {
  const { data, dtype, shape } = tensor;
  const width = shape[1]!;
  if (!isPacked(dtype)) {
    const rows = data.subarray(first * width, (first + count) * width);
    return floats({ dtype, shape: [count, width], data: rows });
  }
  return unpackLines({ dtype, shape }, data as Uint8Array, first, count);
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
  const count = elementCount(shape);
  // As many elements: at most axes of size one were added.
  if (source.length === count) return source;
  const target = source instanceof Float64Array ? new Float64Array(count) : new Float32Array(count);
  const missing = shape.length - tensor.shape.length;
  const fill = (axis: number, from: number, to: number): void => {
    // Elements of one part along this axis, in the tensor and in the result.
    const inner = elementCount(tensor.shape.slice(Math.max(0, axis - missing)));
    const size = elementCount(shape.slice(axis));
    if (inner === size) {
      target.set(source.subarray(from, from + size), to);
      return;
    }
    if (inner === 1) {
      target.fill(source[from]!, to, to + size);
      return;
    }
    const repeats = sizeAt(tensor.shape, axis - shape.length) === 1;
    const [step, stepTo] = [repeats ? 0 : inner / shape[axis]!, size / shape[axis]!];
    for (let i = 0; i < shape[axis]!; i++) fill(axis + 1, from + i * step, to + i * stepTo);
  };
  fill(0, 0, 0);
  return target;
}
