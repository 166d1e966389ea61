/** Element types that a tensor can have: plain numbers, and packed block formats. */

/** Plain element types; one array element holds one number. */
export type PlainDType = 'f32' | 'f16' | 'bf16' | 'i32' | 'u32';

/**
 * A packed block format: `block` numbers that follow each other along `axis` share one scale. The
 * family is data, so a device can look at its fields instead of knowing every name. What the bytes
 * mean is in packed.ts.
 */
export interface PackedDType {
  /** Name of the format, whatever its axis: `q8`. */
  readonly name: string;
  /** Numbers in a block. */
  readonly block: number;
  /** Bits that one number takes, scales not counted. */
  readonly bits: 4 | 8;
  /** Element type of a block's scale. */
  readonly scale: 'f16' | 'f32';
  /** The axis that blocks run along: the last, or the one before it. */
  readonly axis: -1 | -2;
}

export type DType = PlainDType | PackedDType;

/** What holds the elements of a plain dtype on the host; 16-bit floats are kept as their bits. */
export type PlainArray = Float32Array | Float64Array | Uint16Array | Int32Array | Uint32Array;

/** What holds a tensor on the host: the elements of a plain dtype, or the bytes of a packed one. */
export type HostArray = PlainArray | Uint8Array;

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

/** The name that listings, errors and files have: `f32`, `q8`, `q8-columns` for blocks along axis −2. */
export function dtypeName(dtype: DType): string {
  if (!isPacked(dtype)) return dtype;
  return dtype.axis === -1 ? dtype.name : `${dtype.name}-columns`;
}

/** Bytes of `count` elements; for packed formats whole blocks, their scales included. */
export function bytesFor(dtype: DType, count: number): number {
  if (!isPacked(dtype)) return bytesOf[dtype] * count;
  const blocks = Math.ceil(count / dtype.block);
  return blocks * (Math.ceil((dtype.block * dtype.bits) / 8) + bytesOf[dtype.scale]);
}

/** A zeroed host array for `count` elements of a plain dtype. */
export function hostArray(dtype: PlainDType, count: number): Exclude<PlainArray, Float64Array> {
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
 * A host array over bytes that are little-endian elements of a plain dtype; the bytes themselves for a
 * packed one. Shares the memory where its alignment allows and copies where it does not.
 */
export function viewBytes(dtype: PlainDType, bytes: Uint8Array): Exclude<PlainArray, Float64Array>;
export function viewBytes(dtype: DType, bytes: Uint8Array): Exclude<HostArray, Float64Array>;
export function viewBytes(dtype: DType, bytes: Uint8Array): Exclude<HostArray, Float64Array> {
  if (isPacked(dtype)) return bytes;
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
