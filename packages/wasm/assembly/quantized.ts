import { buffer, integer } from './arguments';
import { multiplyAdd } from './lanes';
import { shareEnd, shareStart } from './team';
import { highHalves, lowHalves, rebias } from './weights';

/**
 * Products of quantised rows with packed weights. Within a block of 32 columns everything is a whole number
 * and exact; block after block is multiplied by both scales and added up, the same for one token and many.
 */

/** quantize. Buffers: x, y (quants, then scales f32). Scalars: blocks of 32 in all. */
export function quantize(buffers: usize, scalars: usize): void {
  const blocks = integer(scalars, 0);
  const quants = buffer(buffers, 1), scales = quants + (<usize>blocks << 5);
  for (let block = shareStart(blocks, 2); block < shareEnd(blocks, 2); block++) {
    const x = buffer(buffers, 0) + (<usize>block << 7), to = quants + (<usize>block << 5);
    let top = f32x4.abs(v128.load(x));
    for (let i: usize = 16; i < 128; i += 16) top = f32x4.max(top, f32x4.abs(v128.load(x + i)));
    const largest = max<f32>(
      max<f32>(f32x4.extract_lane(top, 0), f32x4.extract_lane(top, 1)),
      max<f32>(f32x4.extract_lane(top, 2), f32x4.extract_lane(top, 3)),
    );
    const scale = largest / <f32>127;
    store<f32>(scales + (<usize>block << 2), scale);
    const inverse = f32x4.splat(scale == 0 ? <f32>0 : <f32>1 / scale);
    for (let i: usize = 0; i < 32; i += 16) {
      const from = x + (i << 2);
      const low = i16x8.narrow_i32x4_s(rounded(from, inverse), rounded(from + 16, inverse));
      const high = i16x8.narrow_i32x4_s(rounded(from + 32, inverse), rounded(from + 48, inverse));
      v128.store(to + i, i8x16.max_s(i8x16.narrow_i16x8_s(low, high), i8x16.splat(-127)));
    }
  }
}

// @ts-ignore: decorator
@inline
function rounded(x: usize, inverse: v128): v128 {
  return i32x4.trunc_sat_f32x4_s(f32x4.nearest(f32x4.mul(v128.load(x), inverse)));
}

/** Widens a row's quants to 16 bits. */
export function widenRow(quants: usize, columns: i32, to: usize): void {
  for (let i: usize = 0; i < <usize>columns; i += 16) {
    const bytes = v128.load(quants + i);
    v128.store(to + (i << 1), i16x8.extend_low_i8x16_s(bytes));
    v128.store(to + (i << 1), i16x8.extend_high_i8x16_s(bytes), 16);
  }
}

/** For every block −8 times the sum of its quants: what 4-bit weights are too large by. */
export function correctionsOf(row: usize, columns: i32, to: usize): void {
  const minus8 = i16x8.splat(-8);
  for (let i: usize = 0; i < <usize>columns << 1; i += 64) {
    const sum = i32x4.add(
      i32x4.add(i32x4.dot_i16x8_s(v128.load(row + i), minus8), i32x4.dot_i16x8_s(v128.load(row + i, 16), minus8)),
      i32x4.add(i32x4.dot_i16x8_s(v128.load(row + i, 32), minus8), i32x4.dot_i16x8_s(v128.load(row + i, 48), minus8)),
    );
    store<i32>(
      to,
      i32x4.extract_lane(sum, 0) + i32x4.extract_lane(sum, 1) + i32x4.extract_lane(sum, 2) + i32x4.extract_lane(sum, 3),
    );
    to += 4;
  }
}

// @ts-ignore: decorator
@inline
function addLow(sum: v128, x: v128, bytes: v128): v128 {
  return i32x4.add(sum, i32x4.dot_i16x8_s(x, i16x8.extend_low_i8x16_s(bytes)));
}

// @ts-ignore: decorator
@inline
function addHigh(sum: v128, x: v128, bytes: v128): v128 {
  return i32x4.add(sum, i32x4.dot_i16x8_s(x, i16x8.extend_high_i8x16_s(bytes)));
}

// @ts-ignore: decorator
@inline
function addWords(sum: v128, x: v128, words: v128): v128 {
  return i32x4.add(sum, i32x4.dot_i16x8_s(x, words));
}

/** A panel of 8 rows of q8 times one row of 16-bit quants. */
export function bytesTimesRow(panel: usize, x: usize, scales: usize, columns: i32, y: usize): void {
  let f = f32x4.splat(0), g = f;
  const end = x + (<usize>columns << 1);
  while (x < end) {
    let a = i32x4.splat(0), b = a;
    let u = v128.load(panel), v = v128.load(panel, 16), s = v128.load32_splat(x), t = v128.load32_splat(x, 4);
    a = addLow(a, s, u); b = addLow(b, s, v); a = addHigh(a, t, u); b = addHigh(b, t, v);
    u = v128.load(panel, 32); v = v128.load(panel, 48); s = v128.load32_splat(x, 8); t = v128.load32_splat(x, 12);
    a = addLow(a, s, u); b = addLow(b, s, v); a = addHigh(a, t, u); b = addHigh(b, t, v);
    u = v128.load(panel, 64); v = v128.load(panel, 80); s = v128.load32_splat(x, 16); t = v128.load32_splat(x, 20);
    a = addLow(a, s, u); b = addLow(b, s, v); a = addHigh(a, t, u); b = addHigh(b, t, v);
    u = v128.load(panel, 96); v = v128.load(panel, 112); s = v128.load32_splat(x, 24); t = v128.load32_splat(x, 28);
    a = addLow(a, s, u); b = addLow(b, s, v); a = addHigh(a, t, u); b = addHigh(b, t, v);
    u = v128.load(panel, 128); v = v128.load(panel, 144); s = v128.load32_splat(x, 32); t = v128.load32_splat(x, 36);
    a = addLow(a, s, u); b = addLow(b, s, v); a = addHigh(a, t, u); b = addHigh(b, t, v);
    u = v128.load(panel, 160); v = v128.load(panel, 176); s = v128.load32_splat(x, 40); t = v128.load32_splat(x, 44);
    a = addLow(a, s, u); b = addLow(b, s, v); a = addHigh(a, t, u); b = addHigh(b, t, v);
    u = v128.load(panel, 192); v = v128.load(panel, 208); s = v128.load32_splat(x, 48); t = v128.load32_splat(x, 52);
    a = addLow(a, s, u); b = addLow(b, s, v); a = addHigh(a, t, u); b = addHigh(b, t, v);
    u = v128.load(panel, 224); v = v128.load(panel, 240); s = v128.load32_splat(x, 56); t = v128.load32_splat(x, 60);
    a = addLow(a, s, u); b = addLow(b, s, v); a = addHigh(a, t, u); b = addHigh(b, t, v);
    const d = v128.load32_splat(scales), e = v128.load(panel, 256);
    f = multiplyAdd(f, f32x4.convert_i32x4_s(a), f32x4.mul(d, rebias<u16>(lowHalves<u16>(e))));
    g = multiplyAdd(g, f32x4.convert_i32x4_s(b), f32x4.mul(d, rebias<u16>(highHalves<u16>(e))));
    panel += 272;
    x += 64;
    scales += 4;
  }
  v128.store(y, f);
  v128.store(y, g, 16);
}

/** A panel of 8 rows of q4 times one row; `corrections` are those of the row. */
export function nibblesTimesRow(
  panel: usize, x: usize, scales: usize, corrections: usize, columns: i32, y: usize,
): void {
  let f = f32x4.splat(0), g = f;
  const end = x + (<usize>columns << 1);
  const mask = i16x8.splat(15);
  while (x < end) {
    let a = v128.load32_splat(corrections), b = a;
    for (let i: usize = 0; i < 4; i++) {
      const u = v128.load(panel), v = v128.load(panel, 16);
      let s = v128.load32_splat(x);
      a = addWords(a, s, v128.and(u, mask));
      b = addWords(b, s, v128.and(v, mask));
      s = v128.load32_splat(x, 4);
      a = addWords(a, s, v128.and(i16x8.shr_u(u, 4), mask));
      b = addWords(b, s, v128.and(i16x8.shr_u(v, 4), mask));
      s = v128.load32_splat(x, 8);
      a = addWords(a, s, v128.and(i16x8.shr_u(u, 8), mask));
      b = addWords(b, s, v128.and(i16x8.shr_u(v, 8), mask));
      s = v128.load32_splat(x, 12);
      a = addWords(a, s, i16x8.shr_u(u, 12));
      b = addWords(b, s, i16x8.shr_u(v, 12));
      panel += 32;
      x += 16;
    }
    const d = v128.load32_splat(scales), e = v128.load(panel);
    f = multiplyAdd(f, f32x4.convert_i32x4_s(a), f32x4.mul(d, rebias<u16>(lowHalves<u16>(e))));
    g = multiplyAdd(g, f32x4.convert_i32x4_s(b), f32x4.mul(d, rebias<u16>(highHalves<u16>(e))));
    panel += 16;
    scales += 4;
    corrections += 4;
  }
  v128.store(y, f);
  v128.store(y, g, 16);
}

/** A panel widened to 16 bits: for every block 16 pairs of vectors, rows 0 to 3 and 4 to 7 of two columns, then 8 scales f32. */
export const WIDE_BLOCK: usize = 512 + 32;

export function widenPanel(panel: usize, bits: i32, columns: i32, to: usize): void {
  const mask = i16x8.splat(15), eight = i16x8.splat(8);
  for (let column = 0; column < columns; column += 32) {
    if (bits == 8) {
      for (let i = 0; i < 8; i++) {
        const u = v128.load(panel), v = v128.load(panel, 16);
        v128.store(to, i16x8.extend_low_i8x16_s(u));
        v128.store(to, i16x8.extend_low_i8x16_s(v), 16);
        v128.store(to, i16x8.extend_high_i8x16_s(u), 32);
        v128.store(to, i16x8.extend_high_i8x16_s(v), 48);
        panel += 32;
        to += 64;
      }
    } else {
      for (let i = 0; i < 4; i++) {
        const u = v128.load(panel), v = v128.load(panel, 16);
        v128.store(to, i16x8.sub(v128.and(u, mask), eight));
        v128.store(to, i16x8.sub(v128.and(v, mask), eight), 16);
        v128.store(to, i16x8.sub(v128.and(i16x8.shr_u(u, 4), mask), eight), 32);
        v128.store(to, i16x8.sub(v128.and(i16x8.shr_u(v, 4), mask), eight), 48);
        v128.store(to, i16x8.sub(v128.and(i16x8.shr_u(u, 8), mask), eight), 64);
        v128.store(to, i16x8.sub(v128.and(i16x8.shr_u(v, 8), mask), eight), 80);
        v128.store(to, i16x8.sub(i16x8.shr_u(u, 12), eight), 96);
        v128.store(to, i16x8.sub(i16x8.shr_u(v, 12), eight), 112);
        panel += 32;
        to += 128;
      }
    }
    const scales = v128.load(panel);
    v128.store(to, rebias<u16>(lowHalves<u16>(scales)));
    v128.store(to, rebias<u16>(highHalves<u16>(scales)), 16);
    panel += 16;
    to += 32;
  }
}

/** A widened panel times four rows of 16-bit quants. Strides are in bytes, of quants, scales and y. */
export function panelTimesFour(
  panel: usize, x: usize, xStride: usize, scales: usize, scaleStride: usize, columns: i32, y: usize, yStride: usize,
): void {
  let f0 = f32x4.splat(0), f1 = f0, f2 = f0, f3 = f0, g0 = f0, g1 = f0, g2 = f0, g3 = f0;
  const end = x + (<usize>columns << 1);
  let x1 = x + xStride, x2 = x1 + xStride, x3 = x2 + xStride;
  while (x < end) {
    let a0 = i32x4.splat(0), a1 = a0, a2 = a0, a3 = a0, b0 = a0, b1 = a0, b2 = a0, b3 = a0;
    for (const stop = x + 64; x < stop;) {
      const u = v128.load(panel), v = v128.load(panel, 16);
      let s = v128.load32_splat(x);
      a0 = addWords(a0, s, u); b0 = addWords(b0, s, v);
      s = v128.load32_splat(x1);
      a1 = addWords(a1, s, u); b1 = addWords(b1, s, v);
      s = v128.load32_splat(x2);
      a2 = addWords(a2, s, u); b2 = addWords(b2, s, v);
      s = v128.load32_splat(x3);
      a3 = addWords(a3, s, u); b3 = addWords(b3, s, v);
      panel += 32; x += 4; x1 += 4; x2 += 4; x3 += 4;
    }
    const p = v128.load(panel), q = v128.load(panel, 16);
    let d = v128.load32_splat(scales);
    f0 = multiplyAdd(f0, f32x4.convert_i32x4_s(a0), f32x4.mul(d, p));
    g0 = multiplyAdd(g0, f32x4.convert_i32x4_s(b0), f32x4.mul(d, q));
    d = v128.load32_splat(scales + scaleStride);
    f1 = multiplyAdd(f1, f32x4.convert_i32x4_s(a1), f32x4.mul(d, p));
    g1 = multiplyAdd(g1, f32x4.convert_i32x4_s(b1), f32x4.mul(d, q));
    d = v128.load32_splat(scales + 2 * scaleStride);
    f2 = multiplyAdd(f2, f32x4.convert_i32x4_s(a2), f32x4.mul(d, p));
    g2 = multiplyAdd(g2, f32x4.convert_i32x4_s(b2), f32x4.mul(d, q));
    d = v128.load32_splat(scales + 3 * scaleStride);
    f3 = multiplyAdd(f3, f32x4.convert_i32x4_s(a3), f32x4.mul(d, p));
    g3 = multiplyAdd(g3, f32x4.convert_i32x4_s(b3), f32x4.mul(d, q));
    panel += 32;
    scales += 4;
  }
  v128.store(y, f0); v128.store(y, g0, 16);
  y += yStride;
  v128.store(y, f1); v128.store(y, g1, 16);
  y += yStride;
  v128.store(y, f2); v128.store(y, g2, 16);
  y += yStride;
  v128.store(y, f3); v128.store(y, g3, 16);
}

/** 8 rows of a panel as f32 [columns, 8], for rows of x that are not quantised. */
export function panelAsFloats(panel: usize, bits: i32, columns: i32, wide: usize, to: usize): void {
  widenPanel(panel, bits, columns, wide);
  for (let column = 0; column < columns; column += 32) {
    const p = v128.load(wide + 512), q = v128.load(wide + 512, 16);
    for (let pair: usize = 0; pair < 16; pair++) {
      const u = v128.load(wide + (pair << 5)), v = v128.load(wide + (pair << 5), 16);
      // Each 32-bit lane holds two columns of a row.
      v128.store(to, f32x4.mul(f32x4.convert_i32x4_s(i32x4.shr_s(i32x4.shl(u, 16), 16)), p));
      v128.store(to, f32x4.mul(f32x4.convert_i32x4_s(i32x4.shr_s(i32x4.shl(v, 16), 16)), q), 16);
      v128.store(to, f32x4.mul(f32x4.convert_i32x4_s(i32x4.shr_s(u, 16)), p), 32);
      v128.store(to, f32x4.mul(f32x4.convert_i32x4_s(i32x4.shr_s(v, 16)), q), 48);
      to += 64;
    }
    wide += WIDE_BLOCK;
  }
}
