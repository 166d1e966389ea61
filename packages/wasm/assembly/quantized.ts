import { buffer, integer } from './arguments';
import { multiplyAdd } from './lanes';
import { inverseOf, largerOf, largestOf, rounded } from './sixteen-bits';
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
    let top = i32x4.splat(0);
    for (let i: usize = 0; i < 128; i += 16) top = largerOf(top, v128.load(x + i));
    const scale = largestOf(top) / <f32>127;
    store<f32>(scales + (<usize>block << 2), scale);
    const inverse = inverseOf(scale);
    for (let i: usize = 0; i < 32; i += 16) {
      const from = x + (i << 2);
      const low = i16x8.narrow_i32x4_s(rounded(v128.load(from), inverse), rounded(v128.load(from, 16), inverse));
      const high = i16x8.narrow_i32x4_s(rounded(v128.load(from, 32), inverse), rounded(v128.load(from, 48), inverse));
      v128.store(to + i, i8x16.max_s(i8x16.narrow_i16x8_s(low, high), i8x16.splat(-127)));
    }
  }
}

/** Widens a row's quants to 16 bits. */
export function widenRow(quants: usize, columns: i32, to: usize): void {
  for (let i: usize = 0; i < <usize>columns; i += 16) {
    const bytes = v128.load(quants + i);
    v128.store(to + (i << 1), i16x8.extend_low_i8x16_s(bytes));
    v128.store(to + (i << 1), i16x8.extend_high_i8x16_s(bytes), 16);
  }
}

/** For every block of 32 −8 times the sum of its numbers: what 4-bit weights are too large by. */
export function correctionsOf(row: usize, columns: i32, to: usize): void {
  for (let i: usize = 0; i < <usize>columns << 1; i += 64) {
    store<i32>(to, correctionOf(row + i, 32));
    to += 4;
  }
}

/** −8 times the sum of `count` 16-bit numbers, a multiple of 8. */
export function correctionOf(row: usize, count: i32): i32 {
  const minus8 = i16x8.splat(-8);
  let sum = i32x4.splat(0);
  for (const end = row + (<usize>count << 1); row < end; row += 16) sum = addWords(sum, v128.load(row), minus8);
  return (
    i32x4.extract_lane(sum, 0) + i32x4.extract_lane(sum, 1) + i32x4.extract_lane(sum, 2) + i32x4.extract_lane(sum, 3)
  );
}

// @ts-ignore: decorator
@inline
function addWords(sum: v128, x: v128, words: v128): v128 {
  return i32x4.add(sum, i32x4.dot_i16x8_s(x, words));
}

/**
 * Two panels of 8 rows of q8 times one row of 16-bit numbers. Two at a time: an element of x is fetched once
 * for both, and memory brings two streams sooner than one. The second may be the first once more.
 */
export function bytesTimesRow(
  first: usize, second: usize, x: usize, scales: usize, columns: i32, y: usize, z: usize,
): void {
  let e = f32x4.splat(0), f = e, g = e, h = e;
  const end = x + (<usize>columns << 1);
  while (x < end) {
    let a = i32x4.splat(0), b = a, c = a, d = a;
    for (const stop = x + 64; x < stop;) {
      let s = v128.load32_splat(x);
      a = addWords(a, s, v128.load8x8_s(first)); b = addWords(b, s, v128.load8x8_s(first, 16));
      c = addWords(c, s, v128.load8x8_s(second)); d = addWords(d, s, v128.load8x8_s(second, 16));
      s = v128.load32_splat(x, 4);
      a = addWords(a, s, v128.load8x8_s(first, 8)); b = addWords(b, s, v128.load8x8_s(first, 24));
      c = addWords(c, s, v128.load8x8_s(second, 8)); d = addWords(d, s, v128.load8x8_s(second, 24));
      s = v128.load32_splat(x, 8);
      a = addWords(a, s, v128.load8x8_s(first, 32)); b = addWords(b, s, v128.load8x8_s(first, 48));
      c = addWords(c, s, v128.load8x8_s(second, 32)); d = addWords(d, s, v128.load8x8_s(second, 48));
      s = v128.load32_splat(x, 12);
      a = addWords(a, s, v128.load8x8_s(first, 40)); b = addWords(b, s, v128.load8x8_s(first, 56));
      c = addWords(c, s, v128.load8x8_s(second, 40)); d = addWords(d, s, v128.load8x8_s(second, 56));
      first += 64;
      second += 64;
      x += 16;
    }
    const scale = v128.load32_splat(scales);
    let halves = v128.load(first);
    e = addScaled(e, a, scale, lowHalves<u16>(halves));
    f = addScaled(f, b, scale, highHalves<u16>(halves));
    halves = v128.load(second);
    g = addScaled(g, c, scale, lowHalves<u16>(halves));
    h = addScaled(h, d, scale, highHalves<u16>(halves));
    first += 16;
    second += 16;
    scales += 4;
  }
  v128.store(z, g); v128.store(z, h, 16);
  v128.store(y, e); v128.store(y, f, 16);
}

// @ts-ignore: decorator
@inline
function addScaled(sum: v128, whole: v128, scale: v128, halves: v128): v128 {
  return multiplyAdd(sum, f32x4.convert_i32x4_s(whole), f32x4.mul(scale, rebias<u16>(halves)));
}

/** The same of q4; `corrections` are those of the row. */
export function nibblesTimesRow(
  first: usize, second: usize, x: usize, scales: usize, corrections: usize, columns: i32, y: usize, z: usize,
): void {
  let e = f32x4.splat(0), f = e, g = e, h = e;
  const end = x + (<usize>columns << 1);
  const mask = i16x8.splat(15);
  while (x < end) {
    let a = v128.load32_splat(corrections), b = a, c = a, d = a;
    for (const stop = x + 64; x < stop;) {
      const p = v128.load(first), q = v128.load(first, 16), r = v128.load(second), t = v128.load(second, 16);
      let s = v128.load32_splat(x);
      a = addWords(a, s, v128.and(p, mask)); b = addWords(b, s, v128.and(q, mask));
      c = addWords(c, s, v128.and(r, mask)); d = addWords(d, s, v128.and(t, mask));
      s = v128.load32_splat(x, 4);
      a = addWords(a, s, nibbles(p, 4)); b = addWords(b, s, nibbles(q, 4));
      c = addWords(c, s, nibbles(r, 4)); d = addWords(d, s, nibbles(t, 4));
      s = v128.load32_splat(x, 8);
      a = addWords(a, s, nibbles(p, 8)); b = addWords(b, s, nibbles(q, 8));
      c = addWords(c, s, nibbles(r, 8)); d = addWords(d, s, nibbles(t, 8));
      s = v128.load32_splat(x, 12);
      a = addWords(a, s, i16x8.shr_u(p, 12)); b = addWords(b, s, i16x8.shr_u(q, 12));
      c = addWords(c, s, i16x8.shr_u(r, 12)); d = addWords(d, s, i16x8.shr_u(t, 12));
      first += 32;
      second += 32;
      x += 16;
    }
    const scale = v128.load32_splat(scales);
    let halves = v128.load(first);
    e = addScaled(e, a, scale, lowHalves<u16>(halves));
    f = addScaled(f, b, scale, highHalves<u16>(halves));
    halves = v128.load(second);
    g = addScaled(g, c, scale, lowHalves<u16>(halves));
    h = addScaled(h, d, scale, highHalves<u16>(halves));
    first += 16;
    second += 16;
    scales += 4;
    corrections += 4;
  }
  v128.store(z, g); v128.store(z, h, 16);
  v128.store(y, e); v128.store(y, f, 16);
}

// @ts-ignore: decorator
@inline
function nibbles(words: v128, shift: i32): v128 {
  return v128.and(i16x8.shr_u(words, shift), i16x8.splat(15));
}

/**
 * A panel widened to 16 bits, block after block: for every two columns a pair of vectors, rows 0 to 3 and 4 to 7, and
 * behind those of a block 8 scales f32. Here from packed rows, whose blocks are of 32 columns.
 */
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

/**
 * Rows of 16-bit numbers times a widened panel. Strides are in bytes.
 *
 * @param block columns of a block, which have one scale in a row, and one in each row of the panel
 * @param more whether y holds the sums of columns before
 */
export function tokensTimesPanel(
  wide: usize, tokens: i32, x: usize, xStride: usize, scales: usize, scaleStride: usize, columns: i32,
  block: i32, y: usize, yStride: usize, more: bool,
): void {
  let token = 0;
  for (; token + 4 <= tokens; token += 4) {
    panelTimesFour(wide, x, xStride, scales, scaleStride, columns, block, y, yStride, more);
    x += xStride << 2;
    scales += scaleStride << 2;
    y += yStride << 2;
  }
  // What is left of four: the same row in all places gives the same sums, written over each other.
  for (; token < tokens; token++) {
    panelTimesFour(wide, x, 0, scales, 0, columns, block, y, 0, more);
    x += xStride;
    scales += scaleStride;
    y += yStride;
  }
}

/**
 * A widened panel times four rows of 16-bit numbers. Strides are in bytes, of x, scales and y.
 *
 * @param more whether y holds the sums of columns before
 */
function panelTimesFour(
  panel: usize, x: usize, xStride: usize, scales: usize, scaleStride: usize, columns: i32, block: i32, y: usize, yStride: usize,
  more: bool,
): void {
  let f0 = f32x4.splat(0), f1 = f0, f2 = f0, f3 = f0, g0 = f0, g1 = f0, g2 = f0, g3 = f0;
  const y1 = y + yStride, y2 = y1 + yStride, y3 = y2 + yStride;
  if (more) {
    f0 = v128.load(y); g0 = v128.load(y, 16);
    f1 = v128.load(y1); g1 = v128.load(y1, 16);
    f2 = v128.load(y2); g2 = v128.load(y2, 16);
    f3 = v128.load(y3); g3 = v128.load(y3, 16);
  }
  const end = x + (<usize>columns << 1);
  let x1 = x + xStride, x2 = x1 + xStride, x3 = x2 + xStride;
  while (x < end) {
    let a0 = i32x4.splat(0), a1 = a0, a2 = a0, a3 = a0, b0 = a0, b1 = a0, b2 = a0, b3 = a0;
    for (const stop = min(end, x + (<usize>block << 1)); x < stop;) {
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
  v128.store(y1, f1); v128.store(y1, g1, 16);
  v128.store(y2, f2); v128.store(y2, g2, 16);
  v128.store(y3, f3); v128.store(y3, g3, 16);
}
