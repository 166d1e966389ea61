import { bytesFor, dtypeName, sameDType, type DType } from './dtype.ts';

/** Sizes of a tensor, slowest axis first (row-major). `[]` is a single number. */
export type Shape = readonly number[];

/** Shape and dtype of a tensor: everything that is known of a value before it is computed. */
export interface TensorSpec {
  readonly dtype: DType;
  readonly shape: Shape;
}

/** A spec from a dtype and sizes. */
export function spec(dtype: DType, ...shape: number[]): TensorSpec {
  return { dtype, shape };
}

/** f32 spec: `f32(tokens, width)`. */
export const f32 = (...shape: number[]): TensorSpec => spec('f32', ...shape);
/** f16 spec. */
export const f16 = (...shape: number[]): TensorSpec => spec('f16', ...shape);
/** bf16 spec. */
export const bf16 = (...shape: number[]): TensorSpec => spec('bf16', ...shape);
/** i32 spec. */
export const i32 = (...shape: number[]): TensorSpec => spec('i32', ...shape);
/** u32 spec. */
export const u32 = (...shape: number[]): TensorSpec => spec('u32', ...shape);

/** Number of elements of a shape; 1 for `[]`. */
export function elementCount(shape: Shape): number {
  let count = 1;
  for (const size of shape) count *= size;
  return count;
}

/** True when every size is a whole number from 0. */
export function isShape(shape: Shape): boolean {
  return shape.every((size) => Number.isSafeInteger(size) && size >= 0);
}

/** Bytes that a tensor of this spec takes, row-major and unpadded. */
export function byteLength(of: TensorSpec): number {
  return bytesFor(of.dtype, elementCount(of.shape));
}

/** True when both shapes have the same sizes. */
export function sameShape(a: Shape, b: Shape): boolean {
  return a.length === b.length && a.every((size, axis) => size === b[axis]);
}

/** True when both specs have the same dtype and shape. */
export function sameSpec(a: TensorSpec, b: TensorSpec): boolean {
  return sameDType(a.dtype, b.dtype) && sameShape(a.shape, b.shape);
}

/** How listings and errors print a spec: `f32[4, 256]`. */
export function formatSpec(of: TensorSpec): string {
  return `${dtypeName(of.dtype)}[${of.shape.join(', ')}]`;
}
