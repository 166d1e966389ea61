/** Element types that a tensor can have: plain numbers, and packed block formats. */

/** Plain element types; one array element holds one number. */
export type PlainDType = 'f32' | 'f16' | 'bf16' | 'i32' | 'u32';

/**
 * A packed block format: `block` numbers along `axis` share one scale. The family is data, so a
 * device can look at its fields instead of knowing every name.
 */
export interface PackedDType {
  /** Name of the format, for listings and errors. */
  readonly name: string;
  /** Numbers in a block. */
  readonly block: number;
  /** Bits that one number takes, scales not counted. */
  readonly bits: number;
  /** Element type of a block's scale. */
  readonly scale: 'f16' | 'f32';
  /** The axis that blocks run along; negative counts from the last. */
  readonly axis: number;
}

export type DType = PlainDType | PackedDType;

/** What holds the elements of a plain dtype on the host; 16-bit floats are kept as their bits. */
export type HostArray = Float32Array | Float64Array | Uint16Array | Int32Array | Uint32Array;

const bytesOf: Record<PlainDType, number> = { f32: 4, f16: 2, bf16: 2, i32: 4, u32: 4 };

/** True for packed block formats. */
export function isPacked(dtype: DType): dtype is PackedDType {
  return typeof dtype !== 'string';
}

/** True for dtypes whose elements are real numbers: f32, f16, bf16 and every packed format. */
export function isFloating(dtype: DType): boolean {
  return isPacked(dtype) || dtype === 'f32' || dtype === 'f16' || dtype === 'bf16';
}

/** True when both dtypes are the same, packed formats compared field by field. */
export function sameDType(a: DType, b: DType): boolean {
  if (!isPacked(a) || !isPacked(b)) return a === b;
  return (
    a.name === b.name &&
    a.block === b.block &&
    a.bits === b.bits &&
    a.scale === b.scale &&
    a.axis === b.axis
  );
}

/** The name that listings and errors print: `f32`, or a packed format's own name. */
export function dtypeName(dtype: DType): string {
  return isPacked(dtype) ? dtype.name : dtype;
}

/** Bytes of `count` elements; for packed formats whole blocks, their scales included. */
export function bytesFor(dtype: DType, count: number): number {
  if (!isPacked(dtype)) return bytesOf[dtype] * count;
  const blocks = Math.ceil(count / dtype.block);
  return blocks * (Math.ceil((dtype.block * dtype.bits) / 8) + bytesOf[dtype.scale]);
}

/** A zeroed host array for `count` elements of a plain dtype. */
export function hostArray(dtype: PlainDType, count: number): Exclude<HostArray, Float64Array> {
  switch (dtype) {
    case 'f32':
      return new Float32Array(count);
    case 'f16':
    case 'bf16':
      return new Uint16Array(count);
    case 'i32':
      return new Int32Array(count);
    case 'u32':
      return new Uint32Array(count);
  }
}

/**
 * A host array over bytes that are little-endian elements of a plain dtype. Shares the memory where
 * its alignment allows and copies where it does not.
 */
export function viewBytes(dtype: PlainDType, bytes: Uint8Array): Exclude<HostArray, Float64Array> {
  const size = bytesOf[dtype];
  const aligned = bytes.byteOffset % size === 0 ? bytes : bytes.slice();
  const count = Math.floor(aligned.byteLength / size);
  const buffer = aligned.buffer as ArrayBuffer;
  switch (dtype) {
    case 'f32':
      return new Float32Array(buffer, aligned.byteOffset, count);
    case 'f16':
    case 'bf16':
      return new Uint16Array(buffer, aligned.byteOffset, count);
    case 'i32':
      return new Int32Array(buffer, aligned.byteOffset, count);
    case 'u32':
      return new Uint32Array(buffer, aligned.byteOffset, count);
  }
}
