import { widen4 } from './weights';

/**
 * Numbers as 16-bit whole ones under a common scale: what plain rows become beside packed weights, so that
 * products are made of whole numbers. Each is off by half of a scale at most, which is 2^−16 of the largest.
 */

const MOST: f32 = 32767;

/** 1.5 · 2^23, and its bits: a number below 2^22 that is added to it is rounded, and is what the bits grow by. */
const ROUNDING: f32 = 12582912;
const ROUNDING_BITS: i32 = 0x4b400000;

/** Four numbers times `factor`, rounded to the nearest whole numbers, of equals to the even one. */
// @ts-ignore: decorator
@inline
export function rounded(x: v128, factor: v128): v128 {
  return i32x4.sub(f32x4.add(f32x4.mul(x, factor), f32x4.splat(ROUNDING)), i32x4.splat(ROUNDING_BITS));
}

/**
 * The larger magnitude in each lane, as bits: these are ordered as the numbers are, and NaN is above infinity.
 */
// @ts-ignore: decorator
@inline
export function largerOf(top: v128, x: v128): v128 {
  return i32x4.max_s(top, v128.and(x, i32x4.splat(0x7fffffff)));
}

/** The largest of the four lanes of such bits. */
// @ts-ignore: decorator
@inline
export function largestOf(top: v128): f32 {
  return reinterpret<f32>(
    max(
      max(i32x4.extract_lane(top, 0), i32x4.extract_lane(top, 1)),
      max(i32x4.extract_lane(top, 2), i32x4.extract_lane(top, 3)),
    ),
  );
}

/** What numbers are multiplied by to become whole ones of a scale. */
// @ts-ignore: decorator
@inline
export function inverseOf(scale: f32): v128 {
  return f32x4.splat(scale == 0 ? <f32>0 : <f32>1 / scale);
}

/**
 * Rounds `count` numbers, a multiple of 32, each 32 under a scale; scales are f32. A block with NaN or infinity has
 * a scale that is none.
 */
export function shrinkRow(x: usize, count: i32, to: usize, scales: usize): void {
  const end = to + (<usize>count << 1);
  while (to < end) {
    let top = i32x4.splat(0);
    for (let i: usize = 0; i < 128; i += 16) top = largerOf(top, v128.load(x + i));
    const scale = largestOf(top) / MOST;
    store<f32>(scales, scale);
    const inverse = inverseOf(scale);
    for (let i: usize = 0; i < 128; i += 32) {
      const low = rounded(v128.load(x + i), inverse), high = rounded(v128.load(x + i, 16), inverse);
      v128.store(to + (i >> 1), i16x8.narrow_i32x4_s(low, high));
    }
    x += 128;
    to += 64;
    scales += 4;
  }
}

/**
 * Products of `count` numbers, a multiple of 8, and as many factors of type T, rounded once, all under one scale,
 * which is returned.
 *
 * @param products working memory for as many f32
 */
export function shrinkProducts<T>(x: usize, factors: usize, count: i32, products: usize, to: usize): f32 {
  let top = i32x4.splat(0);
  for (let i: usize = 0; i < <usize>count; i += 4) {
    const product = f32x4.mul(v128.load(x + (i << 2)), widen4<T>(factors + i * sizeof<T>()));
    v128.store(products + (i << 2), product);
    top = largerOf(top, product);
  }
  const scale = largestOf(top) / MOST;
  const inverse = inverseOf(scale);
  for (let i: usize = 0; i < <usize>count; i += 8) {
    const from = products + (i << 2);
    const low = rounded(v128.load(from), inverse), high = rounded(v128.load(from, 16), inverse);
    v128.store(to + (i << 1), i16x8.narrow_i32x4_s(low, high));
  }
  return scale;
}
