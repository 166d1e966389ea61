import type { HostArray, PlainDType } from './dtype.ts';
import { hostArray } from './dtype.ts';
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

/** Place of the first NaN or infinity among floating elements, or −1. */
export function firstNotFinite(data: HostArray, dtype: PlainDType): number {
  if (dtype === 'f16' || dtype === 'bf16') {
    // All exponent bits set means infinity or NaN.
    const exponent = dtype === 'f16' ? 0x7c00 : 0x7f80;
    for (let i = 0; i < data.length; i++) if ((data[i]! & exponent) === exponent) return i;
  } else if (dtype === 'f32') {
    for (let i = 0; i < data.length; i++) if (!Number.isFinite(data[i]!)) return i;
  }
  return -1;
}
