/** 16-bit floats: IEEE half (f16) and the upper half of an f32 (bf16). */

const scratchFloat = new Float32Array(1);
const scratchBits = new Uint32Array(scratchFloat.buffer);

const tables = new Map<'f16' | 'bf16', Float32Array>();

/**
 * The value of every 16-bit float by its bits: 65,536 numbers, made on first use. In a loop, a look-up
 * beats taking the bits apart.
 */
export function halfValues(dtype: 'f16' | 'bf16'): Float32Array {
  const known = tables.get(dtype);
  if (known) return known;
  const table = new Float32Array(65536);
  if (dtype === 'bf16') {
    const bits = new Uint32Array(table.buffer);
    for (let i = 0; i < bits.length; i++) bits[i] = i << 16;
  } else {
    for (let i = 0; i < table.length; i++) table[i] = f16Value(i);
  }
  tables.set(dtype, table);
  return table;
}

function f16Value(bits: number): number {
  const sign = bits & 0x8000 ? -1 : 1;
  const exponent = (bits >> 10) & 31;
  const fraction = bits & 1023;
  if (exponent === 31) return fraction === 0 ? sign * Infinity : NaN;
  if (exponent === 0) return sign * fraction * 2 ** -24;
  return sign * (1 + fraction / 1024) * 2 ** (exponent - 15);
}

/**
 * The bits of the f16 nearest to `value`, ties to even. Too large becomes infinite, NaN stays NaN.
 */
export function toF16Bits(value: number): number {
  const bits = f32BitsToRound(value);
  const sign = (bits >>> 16) & 0x8000;
  const magnitude = bits & 0x7fffffff;
  if (magnitude > 0x7f800000) return sign | 0x7e00;
  // 65520 is half way between the largest f16 and the next power: it rounds up to infinity.
  if (magnitude >= 0x477ff000) return sign | 0x7c00;
  if (magnitude < 0x38800000) {
    // Subnormal: the units are 2^-24, and Math.round would break ties upwards, not to even.
    scratchBits[0] = magnitude;
    const units = scratchFloat[0] * 2 ** 24;
    const below = Math.floor(units);
    const rest = units - below;
    const up = rest > 0.5 || (rest === 0.5 && (below & 1) === 1);
    return sign | (below + (up ? 1 : 0));
  }
  const rounded = magnitude + 0xfff + ((magnitude >>> 13) & 1);
  return sign | ((rounded - 0x38000000) >>> 13);
}

/**
 * The bits of the bf16 nearest to `value`, ties to even. Too large becomes infinite, NaN stays NaN.
 */
export function toBf16Bits(value: number): number {
  const bits = f32BitsToRound(value);
  if ((bits & 0x7fffffff) > 0x7f800000) return (bits >>> 16) | 0x40;
  return ((bits + 0x7fff + ((bits >>> 16) & 1)) >>> 16) & 0xffff;
}

/**
 * The bits of `value` as an f32 that is to be rounded further. Where it does not fit an f32 it is cut
 * and its last bit set: rounding it to nearest first would make ties of what are none.
 */
function f32BitsToRound(value: number): number {
  scratchFloat[0] = value;
  const nearest = scratchFloat[0];
  if (nearest === value || Number.isNaN(value)) return scratchBits[0];
  const cut = Math.abs(nearest) > Math.abs(value) ? scratchBits[0] - 1 : scratchBits[0];
  return (cut | 1) >>> 0;
}
