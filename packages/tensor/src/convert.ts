import {
  dtypeName,
  hostArray,
  isPacked,
  type DType,
  type HostArray,
  type PlainDType,
} from './dtype.ts';
import { UsageError } from './errors.ts';
import { halfValues, toBf16Bits, toF16Bits } from './half.ts';

/**
 * Elements in another dtype. Widening is exact; narrowing rounds to the nearest, ties to even. The
 * same dtype gives the same array back, not a copy.
 *
 * @throws UsageError between floating and integer dtypes, which would lose values silently.
 */
export function convert(data: HostArray, from: PlainDType, to: PlainDType): HostArray {
  if (from === to) return data;
  const integer = (dtype: PlainDType): boolean => dtype === 'i32' || dtype === 'u32';
  if (integer(from) || integer(to)) {
    throw new UsageError(`${from} elements cannot become ${to}; only floating dtypes convert`);
  }
  const wide = toFloat32(data, from);
  if (to === 'f32') return wide;
  const narrow = hostArray(to, data.length);
  const bitsOf = to === 'f16' ? toF16Bits : toBf16Bits;
  for (let i = 0; i < wide.length; i++) narrow[i] = bitsOf(wide[i]!);
  return narrow;
}

function toFloat32(data: HostArray, from: PlainDType): Float32Array {
  if (data instanceof Float32Array) return data;
  const wide = new Float32Array(data.length);
  if (from === 'f16' || from === 'bf16') {
    const table = halfValues(from);
    for (let i = 0; i < data.length; i++) wide[i] = table[data[i]!]!;
  } else {
    wide.set(data);
  }
  return wide;
}

/** Elements as a caller has them: a plain array of numbers, or what holds a dtype on the host. */
export type Elements = HostArray | readonly number[];

/**
 * True when `elements` can be given for a dtype without a guess: plain arrays of numbers for any,
 * f32 and f64 arrays for floating dtypes, bits for 16-bit floats, integer arrays for their own, and
 * only the bytes of a packed dtype for that.
 */
export function fitsDType(elements: Elements, dtype: DType): boolean {
  if (isPacked(dtype)) return elements instanceof Uint8Array;
  if (elements instanceof Uint8Array) return false;
  if (Array.isArray(elements)) return true;
  if (dtype === 'i32') return elements instanceof Int32Array;
  if (dtype === 'u32') return elements instanceof Uint32Array;
  if (elements instanceof Float32Array || elements instanceof Float64Array) return true;
  return dtype !== 'f32' && elements instanceof Uint16Array;
}

/**
 * Puts elements into a host array of a dtype, from element `start` on. Numbers are rounded to the
 * dtype; a Uint16Array holds the bits of 16-bit floats already.
 *
 * @throws UsageError for elements that `fitsDType` refuses.
 */
export function setElements(target: HostArray, dtype: DType, elements: Elements, start = 0): void {
  if (!fitsDType(elements, dtype)) {
    throw new UsageError(
      `${elements.constructor.name} elements were given for ${dtypeName(dtype)}; ` +
        'give a plain array, or the typed array of that dtype',
    );
  }
  if ((dtype === 'f16' || dtype === 'bf16') && !(elements instanceof Uint16Array)) {
    const bitsOf = dtype === 'f16' ? toF16Bits : toBf16Bits;
    for (let i = 0; i < elements.length; i++) target[start + i] = bitsOf(elements[i]!);
  } else {
    target.set(elements, start);
  }
}

/** Place of the first NaN or infinity among elements of a plain dtype, or −1. */
export function firstNotFinite(data: HostArray, dtype: PlainDType): number {
  if (dtype === 'f16' || dtype === 'bf16') {
    return firstNotFiniteHalf(data, dtype === 'f16' ? 0x7c00 : 0x7f80);
  } else if (dtype === 'f32') {
    for (let i = 0; i < data.length; i++) if (!Number.isFinite(data[i]!)) return i;
  }
  return -1;
}

/** All exponent bits set means infinity or NaN. Looks at two elements at a time where it can. */
function firstNotFiniteHalf(data: HostArray, exponent: number): number {
  let start = 0;
  if (data.byteOffset % 4 === 0) {
    const pairs = new Uint32Array(data.buffer, data.byteOffset, data.length >> 1);
    const both = exponent | (exponent << 16);
    // With the lowest bit of an exponent added to it, only one that is all ones overflows.
    const lowest = (exponent & -exponent) * 0x10001;
    for (; start < pairs.length * 2; start += 2) {
      if ((((pairs[start >> 1]! & both) + lowest) & 0x80008000) !== 0) break;
    }
  }
  for (let i = start; i < data.length; i++) if ((data[i]! & exponent) === exponent) return i;
  return -1;
}
