/**
 * Weights of three dtypes, by the type that stands for each: f32; u16 for the bits of f16; i16 for those of
 * bf16. 16-bit floats of file are finite: infinities and NaN of f16 are refused at load.
 */

/** 2^112: what the bits of an f16, moved to their places in an f32, are too small by. */
const REBIAS: f32 = 5.192296858534828e33;

/** The number that a weight's bits are. */
// @ts-ignore: decorator
@inline
export function widen<T>(at: usize): f32 {
  if (sizeof<T>() == 4) return load<f32>(at);
  if (isSigned<T>()) return reinterpret<f32>(<u32>load<u16>(at) << 16);
  return reinterpret<f32>((<i32>load<i16>(at) << 13) & 0x8fffe000) * REBIAS;
}

/**
 * 16-bit weights lie in pairs, in words of 32 bits: the low halves of four words are one vector, the high
 * halves another. Both still have to be multiplied by 2^112 when they are f16; bf16 are as they should be.
 */
// @ts-ignore: decorator
@inline
export function lowHalves<T>(words: v128): v128 {
  if (isSigned<T>()) return i32x4.shl(words, 16);
  return v128.and(i32x4.shr_s(i32x4.shl(words, 16), 3), i32x4.splat(0x8fffe000));
}

// @ts-ignore: decorator
@inline
export function highHalves<T>(words: v128): v128 {
  if (isSigned<T>()) return v128.and(words, i32x4.splat(0xffff0000));
  return v128.and(i32x4.shr_s(words, 3), i32x4.splat(0x8fffe000));
}

// @ts-ignore: decorator
@inline
export function rebias<T>(v: v128): v128 {
  if (sizeof<T>() == 4 || isSigned<T>()) return v;
  return f32x4.mul(v, f32x4.splat(REBIAS));
}

/** Four weights that lie one after another. */
// @ts-ignore: decorator
@inline
export function widen4<T>(at: usize): v128 {
  if (sizeof<T>() == 4) return v128.load(at);
  if (isSigned<T>()) return i32x4.shl(v128.load16x4_u(at), 16);
  const bits = v128.and(i32x4.shl(v128.load16x4_s(at), 13), i32x4.splat(0x8fffe000));
  return f32x4.mul(bits, f32x4.splat(REBIAS));
}
