import { buffer, integer } from './arguments';
import { multiplyAdd, sumLanes } from './lanes';
import { BLOCK, tokensTimesGroup, widenGroup } from './matrix-matrix';
import { panelTimesSparse, panelTimesVector, scaleOfX } from './matrix-vector';
import { PANEL } from './panels';
import { own, shareEnd, shareStart } from './team';
import { widen, widen4 } from './weights';

/** Which type a weight has, as launches say it. */
const F32: i32 = 0;
const F16: i32 = 1;

/** What becomes of a sum before it is written. */
const SQUARED_RELU: i32 = 1;

/** Whether x is expected to have zeros whose columns are skipped. */
const SPARSE: i32 = 1;

/**
 * linear, linearSquaredRelu, linearOfSparse. Buffers: x, weight, y. Scalars: tokens, columns, rows, dtype,
 * rows in panels, what becomes of sums, whether x is sparse.
 */
export function linear(buffers: usize, scalars: usize): void {
  const tokens = integer(scalars, 0), columns = integer(scalars, 1), rows = integer(scalars, 2);
  product(
    buffer(buffers, 0), <usize>columns << 2, tokens, columns, buffer(buffers, 1), integer(scalars, 3),
    rows, integer(scalars, 4), buffer(buffers, 2), <usize>rows << 2, integer(scalars, 5), integer(scalars, 6),
  );
}

/**
 * This worker's rows of x Wᵀ for all tokens. Strides are in bytes. Every element is summed by one worker
 * from the first column to the last, so the bits do not depend on how many workers there are.
 */
export function product(
  x: usize, xStride: usize, tokens: i32, columns: i32, weight: usize, dtype: i32, rows: i32, packed: i32,
  y: usize, yStride: usize, becomes: i32, sparse: i32,
): void {
  if (dtype == F32) {
    productOf<f32>(x, xStride, tokens, columns, weight, rows, packed, y, yStride, becomes, sparse);
  } else if (dtype == F16) {
    productOf<u16>(x, xStride, tokens, columns, weight, rows, packed, y, yStride, becomes, sparse);
  } else {
    productOf<i16>(x, xStride, tokens, columns, weight, rows, packed, y, yStride, becomes, sparse);
  }
}

function productOf<T>(
  x: usize, xStride: usize, tokens: i32, columns: i32, weight: usize, rows: i32, packed: i32,
  y: usize, yStride: usize, becomes: i32, sparse: i32,
): void {
  const first = shareStart(packed, PANEL), end = shareEnd(packed, PANEL);
  const rowBytes = <usize>columns * sizeof<T>();
  if (first < end) {
    const panels = weight + rowBytes * first;
    const target = y + (<usize>first << 2);
    if (tokens > 1) manyTokens<T>(x, xStride, tokens, columns, panels, end - first, target, yStride);
    else if (sparse == SPARSE) sparseToken<T>(x, columns, panels, end - first, target);
    else oneToken<T>(x, columns, panels, end - first, target);
    if (becomes == SQUARED_RELU) squareRelu(target, yStride, tokens, end - first);
  }
  // The rows that are in no panel.
  const rest = rows - packed;
  const from = packed + shareStart(rest, 4), to = packed + shareEnd(rest, 4);
  for (let row = from; row < to; row++) {
    const weights = weight + rowBytes * row;
    for (let token: usize = 0; token < <usize>tokens; token++) {
      let sum = dot<T>(weights, x + token * xStride, columns);
      if (becomes == SQUARED_RELU) sum = sum < 0 ? 0 : sum * sum;
      store<f32>(y + token * yStride + (<usize>row << 2), sum);
    }
  }
}

function oneToken<T>(x: usize, columns: i32, panels: usize, rows: i32, y: usize): void {
  let from = x;
  if (scaleOfX<T>() != 1) {
    from = own;
    for (let i: usize = 0; i < <usize>columns; i++) {
      store<f32>(own + (i << 2), load<f32>(x + (i << 2)) * scaleOfX<T>());
    }
  }
  const bytes = <usize>columns * PANEL * sizeof<T>();
  for (let row = 0; row < rows; row += PANEL) {
    panelTimesVector<T>(panels, from, columns, y);
    panels += bytes;
    y += PANEL << 2;
  }
}

function sparseToken<T>(x: usize, columns: i32, panels: usize, rows: i32, y: usize): void {
  let end = own;
  for (let i: usize = 0; i < <usize>columns; i++) {
    // Written in any case, and kept when it is not 0: a branch here would be guessed wrong often.
    const value = load<f32>(x + (i << 2));
    store<f32>(end, value * scaleOfX<T>());
    store<u32>(end, <u32>(i * PANEL * sizeof<T>()), 4);
    end += <usize>i32(value != 0) << 3;
  }
  const bytes = <usize>columns * PANEL * sizeof<T>();
  for (let row = 0; row < rows; row += PANEL) {
    panelTimesSparse<T>(panels, own, end, y);
    panels += bytes;
    y += PANEL << 2;
  }
}

function manyTokens<T>(
  x: usize, xStride: usize, tokens: i32, columns: i32, panels: usize, rows: i32, y: usize, yStride: usize,
): void {
  const columnBytes: usize = PANEL * sizeof<T>();
  for (let row = 0; row < rows; row += PANEL) {
    for (let column = 0; column < columns; column += BLOCK) {
      const count = min(BLOCK, columns - column);
      for (let group = 0; group < 4; group++) {
        widenGroup<T>(panels + columnBytes * column, group, count, own);
        tokensTimesGroup(
          own, count, x + (<usize>column << 2), xStride, tokens, y + (<usize>group << 5), yStride, column > 0,
        );
      }
    }
    panels += columnBytes * columns;
    y += PANEL << 2;
  }
}

/** max(0, y)² over columns of y, a multiple of 4. */
export function squareRelu(y: usize, stride: usize, tokens: i32, columns: i32): void {
  for (let token = 0; token < tokens; token++) {
    for (let at = y; at < y + (<usize>columns << 2); at += 16) {
      const v = f32x4.max(v128.load(at), f32x4.splat(0));
      v128.store(at, f32x4.mul(v, v));
    }
    y += stride;
  }
}

/** A row-major row of weights times a vector. */
function dot<T>(weights: usize, x: usize, columns: i32): f32 {
  let a = f32x4.splat(0), b = a;
  let i: usize = 0;
  for (; i + 8 <= <usize>columns; i += 8) {
    a = multiplyAdd(a, v128.load(x + (i << 2)), widen4<T>(weights + i * sizeof<T>()));
    b = multiplyAdd(b, v128.load(x + (i << 2), 16), widen4<T>(weights + (i + 4) * sizeof<T>()));
  }
  let sum = sumLanes(f32x4.add(a, b));
  for (; i < <usize>columns; i++) {
    sum += load<f32>(x + (i << 2)) * widen<T>(weights + i * sizeof<T>());
  }
  return sum;
}
