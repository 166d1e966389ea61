/** 16-bit floats: IEEE half (f16) and the upper half of an f32 (bf16). */

const scratchFloat = new Float32Array(1);
const scratchBits = new Uint32Array(scratchFloat.buffer);

let f16Table: Float32Array | undefined;

/** Every f16 by its bits: 65,536 numbers, made on first use. A look-up beats arithmetic in a loop. */
export function f16Values(): Float32Array {
  if (f16Table) return f16Table;
  const table = new Float32Array(65536);
  for (let bits = 0; bits < 65536; bits++) {
    const sign = bits & 0x8000 ? -1 : 1;
    const exponent = (bits >> 10) & 31;
    const fraction = bits & 1023;
    if (exponent === 31) table[bits] = fraction === 0 ? sign * Infinity : NaN;
    else if (exponent === 0) table[bits] = sign * fraction * 2 ** -24;
    else table[bits] = sign * (1 + fraction / 1024) * 2 ** (exponent - 15);
  }
  f16Table = table;
  return table;
}

/** The bits of the f16 nearest to `value`, ties to even. Too large becomes infinite. */
export function toF16Bits(value: number): number {
  scratchFloat[0] = value;
  const bits = scratchBits[0]!;
  const sign = (bits >>> 16) & 0x8000;
  const magnitude = bits & 0x7fffffff;
  if (magnitude > 0x7f800000) return sign | 0x7e00;
  // 65520 is half way between the largest f16 and the next power: it rounds up to infinity.
  if (magnitude >= 0x477ff000) return sign | 0x7c00;
  if (magnitude < 0x38800000) {
    // Subnormal: the units are 2^-24, and Math.round would break ties upwards, not to even.
    const units = Math.abs(scratchFloat[0]) * 2 ** 24;
    const below = Math.floor(units);
    const rest = units - below;
    const up = rest > 0.5 || (rest === 0.5 && (below & 1) === 1);
    return sign | (below + (up ? 1 : 0));
  }
  const rounded = magnitude + 0xfff + ((magnitude >>> 13) & 1);
  return sign | ((rounded - 0x38000000) >>> 13);
}

/** The bits of the bf16 nearest to `value`, ties to even; NaN stays NaN. */
export function toBf16Bits(value: number): number {
  scratchFloat[0] = value;
  const bits = scratchBits[0]!;
  if ((bits & 0x7fffffff) > 0x7f800000) return (bits >>> 16) | 0x40;
  return ((bits + 0x7fff + ((bits >>> 16) & 1)) >>> 16) & 0xffff;
}

/** Widens `count` bf16 from `start` into `target`: their bits are the upper half of an f32. */
export function widenBf16(
  source: Uint16Array,
  start: number,
  count: number,
  target: Float32Array,
): void {
  const bits = new Uint32Array(target.buffer, target.byteOffset, count);
  for (let i = 0; i < count; i++) bits[i] = source[start + i]! << 16;
}
