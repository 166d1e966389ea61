import { multiplyAdd } from './lanes';
import { highHalves, lowHalves, rebias } from './weights';

/** Columns that are widened at a time: 8 rows of them, and 4 rows of x, stay in the first cache. */
export const BLOCK: i32 = 512;

/** Bytes of working memory that a worker needs for it. */
export const BLOCK_BYTES: i32 = BLOCK * 8 * 4;

/**
 * 8 of a panel's 32 rows, from column 0 of `panel` on, as f32 [columns, 8].
 *
 * @param group which 8, from 0
 */
export function widenGroup<T>(panel: usize, group: i32, columns: i32, to: usize): void {
  const size: usize = sizeof<T>();
  panel += (<usize>group << 3) * size;
  const end = to + (<usize>columns << 5);
  while (to < end) {
    if (sizeof<T>() == 4) {
      v128.store(to, v128.load(panel));
      v128.store(to, v128.load(panel, 16), 16);
    } else {
      const words = v128.load(panel);
      v128.store(to, rebias<T>(lowHalves<T>(words)));
      v128.store(to, rebias<T>(highHalves<T>(words)), 16);
    }
    panel += size << 5;
    to += 32;
  }
}

/**
 * All tokens times 8 rows of widened weights [columns, 8], added to y or begun in it. Strides are in bytes.
 *
 * @param more whether y holds the sums of columns before
 */
export function tokensTimesGroup(
  weights: usize, columns: i32, x: usize, xStride: usize, tokens: i32, y: usize, yStride: usize, more: bool,
): void {
  let token = 0;
  for (; token + 4 <= tokens; token += 4) {
    fourTokens(weights, columns, x, xStride, y, yStride, more);
    x += xStride << 2;
    y += yStride << 2;
  }
  for (; token < tokens; token++) {
    oneToken(weights, columns, x, y, more);
    x += xStride;
    y += yStride;
  }
}

function fourTokens(
  weights: usize, columns: i32, x: usize, xStride: usize, y: usize, yStride: usize, more: bool,
): void {
  const y1 = y + yStride, y2 = y1 + yStride, y3 = y2 + yStride;
  let a0 = f32x4.splat(0), a1 = a0, b0 = a0, b1 = a0, c0 = a0, c1 = a0, d0 = a0, d1 = a0;
  if (more) {
    a0 = v128.load(y); a1 = v128.load(y, 16);
    b0 = v128.load(y1); b1 = v128.load(y1, 16);
    c0 = v128.load(y2); c1 = v128.load(y2, 16);
    d0 = v128.load(y3); d1 = v128.load(y3, 16);
  }
  let x0 = x, x1 = x0 + xStride, x2 = x1 + xStride, x3 = x2 + xStride;
  const end = x0 + (<usize>columns << 2);
  while (x0 < end) {
    const u = v128.load(weights), v = v128.load(weights, 16);
    let s = v128.load32_splat(x0);
    a0 = multiplyAdd(a0, s, u); a1 = multiplyAdd(a1, s, v);
    s = v128.load32_splat(x1);
    b0 = multiplyAdd(b0, s, u); b1 = multiplyAdd(b1, s, v);
    s = v128.load32_splat(x2);
    c0 = multiplyAdd(c0, s, u); c1 = multiplyAdd(c1, s, v);
    s = v128.load32_splat(x3);
    d0 = multiplyAdd(d0, s, u); d1 = multiplyAdd(d1, s, v);
    weights += 32; x0 += 4; x1 += 4; x2 += 4; x3 += 4;
  }
  v128.store(y, a0); v128.store(y, a1, 16);
  v128.store(y1, b0); v128.store(y1, b1, 16);
  v128.store(y2, c0); v128.store(y2, c1, 16);
  v128.store(y3, d0); v128.store(y3, d1, 16);
}

function oneToken(weights: usize, columns: i32, x: usize, y: usize, more: bool): void {
  let a0 = f32x4.splat(0), a1 = a0;
  if (more) {
    a0 = v128.load(y);
    a1 = v128.load(y, 16);
  }
  const end = x + (<usize>columns << 2);
  while (x < end) {
    const s = v128.load32_splat(x);
    a0 = multiplyAdd(a0, s, v128.load(weights));
    a1 = multiplyAdd(a1, s, v128.load(weights, 16));
    weights += 32;
    x += 4;
  }
  v128.store(y, a0);
  v128.store(y, a1, 16);
}
