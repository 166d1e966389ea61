import { multiplyAdd } from './lanes';

/**
 * Products with packed weights whose blocks run along columns: panels of 32 rows, which are a block of every
 * column and then the scales of all. A column's scale goes into what the column meets, and the product of the
 * two becomes 16 bits (sixteen-bits.ts); what is left is a product of whole numbers, two columns at a time.
 *
 * GROUP columns that lie side by side have one scale. Within them sums are exact, so it makes no difference which
 * columns are left out because they meet 0: one token, of which they are, and many give the same bits.
 */
export const GROUP: i32 = 128;

/** Bytes of the quants of a column in a panel. */
// @ts-ignore: decorator
@inline
export function columnBytes(bits: i32): i32 {
  return bits << 2;
}

/** Rows 0 to 7 of two columns' bytes, pair by pair; 8 to 15. */
// @ts-ignore: decorator
@inline
function lowPairs(a: v128, b: v128): v128 {
  return i8x16.shuffle(a, b, 0, 16, 1, 17, 2, 18, 3, 19, 4, 20, 5, 21, 6, 22, 7, 23);
}

// @ts-ignore: decorator
@inline
function highPairs(a: v128, b: v128): v128 {
  return i8x16.shuffle(a, b, 8, 24, 9, 25, 10, 26, 11, 27, 12, 28, 13, 29, 14, 30, 15, 31);
}

// @ts-ignore: decorator
@inline
function addWords(sum: v128, x: v128, words: v128): v128 {
  return i32x4.add(sum, i32x4.dot_i16x8_s(x, words));
}

// @ts-ignore: decorator
@inline
function addScaled(y: usize, scale: v128, sum: v128): void {
  v128.store(y, multiplyAdd(v128.load(y), f32x4.convert_i32x4_s(sum), scale));
}

/**
 * A panel times some columns of a group, added to y.
 *
 * @param columns the places of their quants in the panel, u32
 * @param count how many they are, a multiple of 2
 * @param z what they meet, 16 bits
 * @param scale of z
 * @param correction with 4 bits: what the quants are too large by, see `correctionOf`
 */
// @ts-ignore: decorator
@inline
export function panelTimesColumns(
  panel: usize, bits: i32, columns: usize, count: i32, z: usize, scale: f32, correction: i32, y: usize,
): void {
  let a = i32x4.splat(correction), b = a, c = a, d = a, e = a, f = a, g = a, h = a;
  for (const end = z + (<usize>count << 1); z < end;) {
    const s = v128.load32_splat(z);
    const first = panel + load<u32>(columns), second = panel + load<u32>(columns, 4);
    if (bits == 8) {
      let u = v128.load(first), v = v128.load(second);
      let pairs = lowPairs(u, v);
      a = addWords(a, s, i16x8.extend_low_i8x16_s(pairs));
      b = addWords(b, s, i16x8.extend_high_i8x16_s(pairs));
      pairs = highPairs(u, v);
      c = addWords(c, s, i16x8.extend_low_i8x16_s(pairs));
      d = addWords(d, s, i16x8.extend_high_i8x16_s(pairs));
      u = v128.load(first, 16);
      v = v128.load(second, 16);
      pairs = lowPairs(u, v);
      e = addWords(e, s, i16x8.extend_low_i8x16_s(pairs));
      f = addWords(f, s, i16x8.extend_high_i8x16_s(pairs));
      pairs = highPairs(u, v);
      g = addWords(g, s, i16x8.extend_low_i8x16_s(pairs));
      h = addWords(h, s, i16x8.extend_high_i8x16_s(pairs));
    } else {
      // Rows 0 to 15 are the low halves of bytes, rows 16 to 31 the high ones.
      const mask = i16x8.splat(15);
      const u = v128.load(first), v = v128.load(second);
      let pairs = lowPairs(u, v);
      let words = i16x8.extend_low_i8x16_u(pairs);
      a = addWords(a, s, v128.and(words, mask));
      e = addWords(e, s, i16x8.shr_u(words, 4));
      words = i16x8.extend_high_i8x16_u(pairs);
      b = addWords(b, s, v128.and(words, mask));
      f = addWords(f, s, i16x8.shr_u(words, 4));
      pairs = highPairs(u, v);
      words = i16x8.extend_low_i8x16_u(pairs);
      c = addWords(c, s, v128.and(words, mask));
      g = addWords(g, s, i16x8.shr_u(words, 4));
      words = i16x8.extend_high_i8x16_u(pairs);
      d = addWords(d, s, v128.and(words, mask));
      h = addWords(h, s, i16x8.shr_u(words, 4));
    }
    z += 4;
    columns += 8;
  }
  const factor = f32x4.splat(scale);
  addScaled(y, factor, a); addScaled(y + 16, factor, b); addScaled(y + 32, factor, c); addScaled(y + 48, factor, d);
  addScaled(y + 64, factor, e); addScaled(y + 80, factor, f); addScaled(y + 96, factor, g); addScaled(y + 112, factor, h);
}

/**
 * 8 of a panel's 32 rows, 16 bits wide as `widenPanel` makes them, in groups of columns from `column` on. Scales of rows
 * are 1; what is beyond the last of `columns` meets zeros.
 *
 * @param count columns, a multiple of 32
 */
export function widenColumns(
  panel: usize, bits: i32, columns: i32, eighth: i32, column: i32, count: i32, to: usize,
): void {
  const last = columns - 1, eight = i16x8.splat(8), mask = i16x8.splat(15);
  const place = bits == 8 ? <usize>eighth << 3 : <usize>(eighth & 1) << 3;
  for (const end = column + count; column < end;) {
    for (const stop = min(end, column + GROUP); column < stop; column += 2) {
      const first = panel + <usize>min(column, last) * columnBytes(bits) + place;
      const second = panel + <usize>min(column + 1, last) * columnBytes(bits) + place;
      const pairs = lowPairs(v128.load64_zero(first), v128.load64_zero(second));
      let low: v128, high: v128;
      if (bits == 8) {
        low = i16x8.extend_low_i8x16_s(pairs);
        high = i16x8.extend_high_i8x16_s(pairs);
      } else {
        low = i16x8.extend_low_i8x16_u(pairs);
        high = i16x8.extend_high_i8x16_u(pairs);
        low = i16x8.sub(eighth < 2 ? v128.and(low, mask) : i16x8.shr_u(low, 4), eight);
        high = i16x8.sub(eighth < 2 ? v128.and(high, mask) : i16x8.shr_u(high, 4), eight);
      }
      v128.store(to, low);
      v128.store(to, high, 16);
      to += 32;
    }
    v128.store(to, f32x4.splat(1));
    v128.store(to, f32x4.splat(1), 16);
    to += 32;
  }
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
