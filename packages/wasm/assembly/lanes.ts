/** Four numbers at a time. */

// @ts-ignore: decorator
@inline
export function splat(x: f32): v128 {
  return f32x4.splat(x);
}

/** c + a · b, rounded twice: engines differ in the fused form. */
// @ts-ignore: decorator
@inline
export function multiplyAdd(c: v128, a: v128, b: v128): v128 {
  return f32x4.add(c, f32x4.mul(a, b));
}

/** The four lanes added up, in a fixed order. */
// @ts-ignore: decorator
@inline
export function sumLanes(v: v128): f32 {
  return (
    f32x4.extract_lane(v, 0) +
    f32x4.extract_lane(v, 2) +
    (f32x4.extract_lane(v, 1) + f32x4.extract_lane(v, 3))
  );
}

/** e^x: 2^n · p(r) with |r| ≤ ½ ln 2, p of degree 6; below 2 ulp, 0 and infinity at the ends, NaN kept. */
export function exp4(x: v128): v128 {
  const bounded = f32x4.min(f32x4.max(x, splat(-104)), splat(89));
  const n = f32x4.nearest(f32x4.mul(bounded, splat(1.44269504)));
  let r = f32x4.sub(bounded, f32x4.mul(n, splat(0.693359375)));
  r = f32x4.sub(r, f32x4.mul(n, splat(-2.12194440e-4)));
  let p = splat(1.0 / 720);
  p = multiplyAdd(splat(1.0 / 120), p, r);
  p = multiplyAdd(splat(1.0 / 24), p, r);
  p = multiplyAdd(splat(1.0 / 6), p, r);
  p = multiplyAdd(splat(0.5), p, r);
  p = multiplyAdd(splat(1), p, r);
  p = multiplyAdd(splat(1), p, r);
  // In two factors: 2^n alone leaves the normal numbers at both ends.
  const power = i32x4.trunc_sat_f32x4_s(n);
  const half = i32x4.shr_s(power, 1);
  return f32x4.mul(f32x4.mul(p, powerOfTwo(half)), powerOfTwo(i32x4.sub(power, half)));
}

// @ts-ignore: decorator
@inline
function powerOfTwo(n: v128): v128 {
  return i32x4.shl(i32x4.add(n, i32x4.splat(127)), 23);
}

/** 1 / (1 + e^−x) */
// @ts-ignore: decorator
@inline
export function sigmoid4(x: v128): v128 {
  return f32x4.div(splat(1), f32x4.add(splat(1), exp4(f32x4.neg(x))));
}

/** tanh x = 1 − 2 / (1 + e^2x): to 2e−7 of one, which is what is asked, not of itself near 0. */
// @ts-ignore: decorator
@inline
export function tanh4(x: v128): v128 {
  const e = exp4(f32x4.add(x, x));
  return f32x4.sub(splat(1), f32x4.div(splat(2), f32x4.add(splat(1), e)));
}

/**
 * `count` numbers at `from`, at most four; what is missing is 0.
 */
export function loadSome(from: usize, count: i32): v128 {
  let v = splat(0);
  if (count > 0) v = f32x4.replace_lane(v, 0, load<f32>(from));
  if (count > 1) v = f32x4.replace_lane(v, 1, load<f32>(from, 4));
  if (count > 2) v = f32x4.replace_lane(v, 2, load<f32>(from, 8));
  if (count > 3) v = f32x4.replace_lane(v, 3, load<f32>(from, 12));
  return v;
}

/** Writes the first `count` lanes, at most four. */
export function storeSome(to: usize, v: v128, count: i32): void {
  if (count > 0) store<f32>(to, f32x4.extract_lane(v, 0));
  if (count > 1) store<f32>(to, f32x4.extract_lane(v, 1), 4);
  if (count > 2) store<f32>(to, f32x4.extract_lane(v, 2), 8);
  if (count > 3) store<f32>(to, f32x4.extract_lane(v, 3), 12);
}
