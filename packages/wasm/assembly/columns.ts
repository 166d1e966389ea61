import { multiplyAdd } from './lanes';
import { widen } from './weights';

/** Products with packed weights whose blocks run along columns: panels of 32 rows, a block of every column. */

/** Bytes of the quants of a column in a panel. */
// @ts-ignore: decorator
@inline
export function columnBytes(bits: i32): i32 {
  return bits << 2;
}

// @ts-ignore: decorator
@inline
function addQuants(sum: v128, factor: v128, quants: v128): v128 {
  return multiplyAdd(sum, factor, f32x4.convert_i32x4_s(quants));
}

/** A panel times the columns of a list: pairs of an element of x and of its place among the columns. */
export function columnsTimesSparse(panel: usize, bits: i32, columns: i32, list: usize, end: usize, y: usize): void {
  let a = f32x4.splat(0), b = a, c = a, d = a, e = a, f = a, g = a, h = a;
  const scales = panel + <usize>columns * columnBytes(bits);
  for (; list < end; list += 8) {
    const column = <usize>load<u32>(list, 4);
    const factor = f32x4.splat(load<f32>(list) * widen<u16>(scales + (column << 1)));
    let low: v128, high: v128;
    if (bits == 8) {
      low = v128.load(panel + (column << 5));
      high = v128.load(panel + (column << 5), 16);
    } else {
      const bytes = v128.load(panel + (column << 4));
      low = lowQuants(bytes);
      high = highQuants(bytes);
    }
    let words = i16x8.extend_low_i8x16_s(low);
    a = addQuants(a, factor, i32x4.extend_low_i16x8_s(words));
    b = addQuants(b, factor, i32x4.extend_high_i16x8_s(words));
    words = i16x8.extend_high_i8x16_s(low);
    c = addQuants(c, factor, i32x4.extend_low_i16x8_s(words));
    d = addQuants(d, factor, i32x4.extend_high_i16x8_s(words));
    words = i16x8.extend_low_i8x16_s(high);
    e = addQuants(e, factor, i32x4.extend_low_i16x8_s(words));
    f = addQuants(f, factor, i32x4.extend_high_i16x8_s(words));
    words = i16x8.extend_high_i8x16_s(high);
    g = addQuants(g, factor, i32x4.extend_low_i16x8_s(words));
    h = addQuants(h, factor, i32x4.extend_high_i16x8_s(words));
  }
  v128.store(y, a); v128.store(y, b, 16); v128.store(y, c, 32); v128.store(y, d, 48);
  v128.store(y, e, 64); v128.store(y, f, 80); v128.store(y, g, 96); v128.store(y, h, 112);
}

/** The 16 numbers in the low halves of bytes, and in the high halves. */
// @ts-ignore: decorator
@inline
export function lowQuants(bytes: v128): v128 {
  return i8x16.sub(v128.and(bytes, i8x16.splat(15)), i8x16.splat(8));
}

// @ts-ignore: decorator
@inline
export function highQuants(bytes: v128): v128 {
  return i8x16.sub(v128.and(i16x8.shr_u(bytes, 4), i8x16.splat(15)), i8x16.splat(8));
}

/** 8 of a panel's 32 rows as f32 [count, 8], from `column` on. */
export function columnsAsFloats(
  panel: usize, bits: i32, columns: i32, group: i32, column: i32, count: i32, to: usize,
): void {
  const scales = panel + <usize>columns * columnBytes(bits);
  for (let i = column; i < column + count; i++) {
    const scale = f32x4.splat(widen<u16>(scales + (<usize>i << 1)));
    let words: v128;
    if (bits == 8) words = v128.load8x8_s(panel + (<usize>i << 5) + (<usize>group << 3));
    else {
      const bytes = v128.load(panel + (<usize>i << 4));
      const quants = group < 2 ? lowQuants(bytes) : highQuants(bytes);
      words = (group & 1) == 0 ? i16x8.extend_low_i8x16_s(quants) : i16x8.extend_high_i8x16_s(quants);
    }
    v128.store(to, f32x4.mul(scale, f32x4.convert_i32x4_s(i32x4.extend_low_i16x8_s(words))));
    v128.store(to, f32x4.mul(scale, f32x4.convert_i32x4_s(i32x4.extend_high_i16x8_s(words))), 16);
    to += 32;
  }
}
