import { widen4 } from './weights';

/**
 * Numbers as 16-bit whole ones, 32 of them under a scale: what plain rows become beside packed weights, so that
 * products are made of whole numbers. They are off by 2^−16 of the largest of the 32 at most.
 */

const MOST: f32 = 32767;

// @ts-ignore: decorator
@inline
function largestOf(top: v128): f32 {
  return max<f32>(
    max<f32>(f32x4.extract_lane(top, 0), f32x4.extract_lane(top, 1)),
    max<f32>(f32x4.extract_lane(top, 2), f32x4.extract_lane(top, 3)),
  );
}

// @ts-ignore: decorator
@inline
function rounded(x: v128, inverse: v128): v128 {
  return i32x4.trunc_sat_f32x4_s(f32x4.nearest(f32x4.mul(x, inverse)));
}

/** Rounds `count` numbers, a multiple of 32; scales are f32. A block with NaN or infinity has a scale that is none. */
export function shrinkRow(x: usize, count: i32, to: usize, scales: usize): void {
  const end = to + (<usize>count << 1);
  while (to < end) {
    let top = f32x4.abs(v128.load(x));
    for (let i: usize = 16; i < 128; i += 16) top = f32x4.max(top, f32x4.abs(v128.load(x + i)));
    const scale = largestOf(top) / MOST;
    store<f32>(scales, scale);
    const inverse = f32x4.splat(scale == 0 ? <f32>0 : <f32>1 / scale);
    for (let i: usize = 0; i < 128; i += 32) {
      const low = rounded(v128.load(x + i), inverse), high = rounded(v128.load(x + i, 16), inverse);
      v128.store(to + (i >> 1), i16x8.narrow_i32x4_s(low, high));
    }
    x += 128;
    to += 64;
    scales += 4;
  }
}

/** The same of f16 numbers; each scale comes multiplied by 2^15, which `times` divides by. */
export function shrinkHalves(halves: usize, count: i32, to: usize, scales: usize): void {
  const end = to + (<usize>count << 1);
  while (to < end) {
    let top = f32x4.abs(widen4<u16>(halves));
    for (let i: usize = 8; i < 64; i += 8) top = f32x4.max(top, f32x4.abs(widen4<u16>(halves + i)));
    const scale = largestOf(top) / MOST;
    store<f32>(scales, scale * 32768);
    const inverse = f32x4.splat(scale == 0 ? <f32>0 : <f32>1 / scale);
    for (let i: usize = 0; i < 64; i += 16) {
      const low = rounded(widen4<u16>(halves + i), inverse), high = rounded(widen4<u16>(halves + i + 8), inverse);
      v128.store(to + i, i16x8.narrow_i32x4_s(low, high));
    }
    halves += 64;
    to += 64;
    scales += 4;
  }
}

/** a · b / 2^15, element by element and rounded, of `count` numbers, a multiple of 32. */
export function times(a: usize, b: usize, count: i32, to: usize): void {
  const end = to + (<usize>count << 1);
  while (to < end) {
    v128.store(to, i16x8.q15mulr_sat_s(v128.load(a), v128.load(b)));
    v128.store(to, i16x8.q15mulr_sat_s(v128.load(a, 16), v128.load(b, 16)), 16);
    a += 32;
    b += 32;
    to += 32;
  }
}
