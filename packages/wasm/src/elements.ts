import {
  byteLength,
  elementCount,
  hostArray,
  isPacked,
  type HostArray,
  type TensorSpec,
} from '@rwkv-js/tensor';

/** The bytes that an array lies in. */
export function bytesOf(elements: HostArray): Uint8Array<ArrayBuffer> {
  return new Uint8Array(elements.buffer as ArrayBuffer, elements.byteOffset, elements.byteLength);
}

/** What a tensor has of elements that ranges count: its numbers, or the bytes of a packed one. */
export function countOf(spec: TensorSpec): number {
  return isPacked(spec.dtype) ? byteLength(spec) : elementCount(spec.shape);
}

/** Bytes of one of them. */
export function sizeOf({ dtype }: TensorSpec): number {
  return isPacked(dtype) ? 1 : byteLength({ dtype, shape: [] });
}

/** A zeroed array of them. */
export function emptyArray({ dtype }: TensorSpec, count: number): Exclude<HostArray, Float64Array> {
  return isPacked(dtype) ? new Uint8Array(count) : hostArray(dtype, count);
}

/** Elements of a dtype over bytes. */
export function arrayOver(
  { dtype }: TensorSpec,
  bytes: ArrayBuffer,
  byteOffset?: number,
  count?: number,
): HostArray {
  if (isPacked(dtype)) return new Uint8Array(bytes, byteOffset, count);
  switch (dtype) {
    case 'f32':
      return new Float32Array(bytes, byteOffset, count);
    case 'f16':
    case 'bf16':
      return new Uint16Array(bytes, byteOffset, count);
    case 'i32':
      return new Int32Array(bytes, byteOffset, count);
    case 'u32':
      return new Uint32Array(bytes, byteOffset, count);
  }
}
