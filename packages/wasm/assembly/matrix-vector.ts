import { multiplyAdd } from './lanes';
import { highHalves, lowHalves } from './weights';

/**
 * 32 rows of a matrix times one vector. One load of x serves 32 weights, eight sums grow side by side, and
 * the weights are read once, one after another. Each row is summed from its first column to its last.
 *
 * f16 weights are taken without their factor of 2^112: x comes multiplied by 2^64, and the sums are
 * multiplied by 2^48, so nothing leaves the range that would matter.
 */
export function panelTimesVector<T>(panel: usize, x: usize, columns: i32, y: usize): void {
  let a = f32x4.splat(0), b = a, c = a, d = a, e = a, f = a, g = a, h = a;
  const end = x + (<usize>columns << 2);
  while (x < end) {
    const s = v128.load32_splat(x);
    if (sizeof<T>() == 4) {
      a = multiplyAdd(a, s, v128.load(panel));
      b = multiplyAdd(b, s, v128.load(panel, 16));
      c = multiplyAdd(c, s, v128.load(panel, 32));
      d = multiplyAdd(d, s, v128.load(panel, 48));
      e = multiplyAdd(e, s, v128.load(panel, 64));
      f = multiplyAdd(f, s, v128.load(panel, 80));
      g = multiplyAdd(g, s, v128.load(panel, 96));
      h = multiplyAdd(h, s, v128.load(panel, 112));
      panel += 128;
    } else {
      const w0 = v128.load(panel);
      a = multiplyAdd(a, s, lowHalves<T>(w0));
      b = multiplyAdd(b, s, highHalves<T>(w0));
      const w1 = v128.load(panel, 16);
      c = multiplyAdd(c, s, lowHalves<T>(w1));
      d = multiplyAdd(d, s, highHalves<T>(w1));
      const w2 = v128.load(panel, 32);
      e = multiplyAdd(e, s, lowHalves<T>(w2));
      f = multiplyAdd(f, s, highHalves<T>(w2));
      const w3 = v128.load(panel, 48);
      g = multiplyAdd(g, s, lowHalves<T>(w3));
      h = multiplyAdd(h, s, highHalves<T>(w3));
      panel += 64;
    }
    x += 4;
  }
  finish<T>(y, a, b, c, d, e, f, g, h);
}

/**
 * The same over the columns of a list alone: pairs of an element of x and of the place of its column's
 * weights in the panel, in bytes.
 */
export function panelTimesSparse<T>(panel: usize, list: usize, end: usize, y: usize): void {
  let a = f32x4.splat(0), b = a, c = a, d = a, e = a, f = a, g = a, h = a;
  for (; list < end; list += 8) {
    const s = v128.load32_splat(list);
    const at = panel + load<u32>(list, 4);
    if (sizeof<T>() == 4) {
      a = multiplyAdd(a, s, v128.load(at));
      b = multiplyAdd(b, s, v128.load(at, 16));
      c = multiplyAdd(c, s, v128.load(at, 32));
      d = multiplyAdd(d, s, v128.load(at, 48));
      e = multiplyAdd(e, s, v128.load(at, 64));
      f = multiplyAdd(f, s, v128.load(at, 80));
      g = multiplyAdd(g, s, v128.load(at, 96));
      h = multiplyAdd(h, s, v128.load(at, 112));
    } else {
      const w0 = v128.load(at);
      a = multiplyAdd(a, s, lowHalves<T>(w0));
      b = multiplyAdd(b, s, highHalves<T>(w0));
      const w1 = v128.load(at, 16);
      c = multiplyAdd(c, s, lowHalves<T>(w1));
      d = multiplyAdd(d, s, highHalves<T>(w1));
      const w2 = v128.load(at, 32);
      e = multiplyAdd(e, s, lowHalves<T>(w2));
      f = multiplyAdd(f, s, highHalves<T>(w2));
      const w3 = v128.load(at, 48);
      g = multiplyAdd(g, s, lowHalves<T>(w3));
      h = multiplyAdd(h, s, highHalves<T>(w3));
    }
  }
  finish<T>(y, a, b, c, d, e, f, g, h);
}

/** What x is multiplied by before it meets weights of type T. */
// @ts-ignore: decorator
@inline
export function scaleOfX<T>(): f32 {
  return sizeof<T>() == 4 || isSigned<T>() ? <f32>1 : <f32>18446744073709551616.0;
}

// @ts-ignore: decorator
@inline
function finish<T>(
  y: usize,
  a: v128, b: v128, c: v128, d: v128, e: v128, f: v128, g: v128, h: v128,
): void {
  v128.store(y, rescale<T>(a));
  v128.store(y, rescale<T>(b), 16);
  v128.store(y, rescale<T>(c), 32);
  v128.store(y, rescale<T>(d), 48);
  v128.store(y, rescale<T>(e), 64);
  v128.store(y, rescale<T>(f), 80);
  v128.store(y, rescale<T>(g), 96);
  v128.store(y, rescale<T>(h), 112);
}

// @ts-ignore: decorator
@inline
function rescale<T>(sum: v128): v128 {
  if (sizeof<T>() == 4 || isSigned<T>()) return sum;
  return f32x4.mul(sum, f32x4.splat(281474976710656.0));
}
