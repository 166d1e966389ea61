import { buffer, float, integer } from './arguments';
import { exp4, loadSome, sigmoid4, splat, storeSome, tanh4 } from './lanes';
import { shareEnd, shareStart } from './team';

const NEGATE: i32 = 0;
const EXP: i32 = 1;
const TANH: i32 = 2;
const SIGMOID: i32 = 3;
const SILU: i32 = 4;
const RELU: i32 = 5;
const SQUARE: i32 = 6;

/** A share is a whole number of cache lines. */
const LINE: i32 = 16;

// @ts-ignore: decorator
@inline
function apply(which: i32, x: v128, factor: v128): v128 {
  if (which == NEGATE) return f32x4.neg(x);
  if (which == EXP) return exp4(x);
  if (which == TANH) return tanh4(x);
  if (which == SIGMOID) return sigmoid4(x);
  if (which == SILU) return f32x4.mul(x, sigmoid4(x));
  if (which == RELU) return f32x4.max(x, splat(0));
  if (which == SQUARE) return f32x4.mul(x, x);
  return f32x4.mul(x, factor);
}

/** One operation on every element. Buffers: x, y. Scalars: elements, which operation, factor of scale. */
export function unary(buffers: usize, scalars: usize): void {
  const x = buffer(buffers, 0), y = buffer(buffers, 1);
  const count = integer(scalars, 0), which = integer(scalars, 1);
  const factor = splat(float(scalars, 2));
  const end = shareEnd(count, LINE);
  let i = shareStart(count, LINE);
  for (; i + 4 <= end; i += 4) {
    const at = <usize>i << 2;
    v128.store(y + at, apply(which, v128.load(x + at), factor));
  }
  if (i < end) {
    const at = <usize>i << 2;
    storeSome(y + at, apply(which, loadSome(x + at, end - i), factor), end - i);
  }
}

const ADD: i32 = 0;
const SUBTRACT: i32 = 1;
const MULTIPLY: i32 = 2;

// @ts-ignore: decorator
@inline
function combine(which: i32, a: v128, b: v128): v128 {
  if (which == ADD) return f32x4.add(a, b);
  if (which == SUBTRACT) return f32x4.sub(a, b);
  return f32x4.mul(a, b);
}

/** How an operand repeats over rows of the result: not, each row the same, each row one number. */
const EACH_ROW_ONE: i32 = 2;

// @ts-ignore: decorator
@inline
function rowOf(operand: usize, kind: i32, row: i32, inner: i32): usize {
  if (kind == 0) return operand + ((<usize>row * inner) << 2);
  return kind == EACH_ROW_ONE ? operand + (<usize>row << 2) : operand;
}

/**
 * a ∘ b. Buffers: a, b, y. Scalars: rows, elements of a row, which operation, how a and how b repeat.
 */
export function binary(buffers: usize, scalars: usize): void {
  const a = buffer(buffers, 0), b = buffer(buffers, 1), y = buffer(buffers, 2);
  const rows = integer(scalars, 0), inner = integer(scalars, 1), which = integer(scalars, 2);
  const kindA = integer(scalars, 3), kindB = integer(scalars, 4);
  const first = shareStart(inner, LINE), end = shareEnd(inner, LINE);
  for (let row = 0; row < rows; row++) {
    const rowA = rowOf(a, kindA, row, inner), rowB = rowOf(b, kindB, row, inner);
    const target = y + ((<usize>row * inner) << 2);
    for (let i = first; i < end; i += 4) {
      const at = <usize>i << 2, count = min(end - i, 4);
      const u = kindA == EACH_ROW_ONE ? v128.load32_splat(rowA) : some(rowA + at, count);
      const v = kindB == EACH_ROW_ONE ? v128.load32_splat(rowB) : some(rowB + at, count);
      const result = combine(which, u, v);
      if (count == 4) v128.store(target + at, result);
      else storeSome(target + at, result, count);
    }
  }
}

// @ts-ignore: decorator
@inline
function some(at: usize, count: i32): v128 {
  return count == 4 ? v128.load(at) : loadSome(at, count);
}

/** x + (y − x) · amount. Buffers: x, y, amount, result. Scalars: rows, elements of a row, how amount repeats. */
export function lerp(buffers: usize, scalars: usize): void {
  const rows = integer(scalars, 0), inner = integer(scalars, 1), kind = integer(scalars, 2);
  const first = shareStart(inner, LINE), end = shareEnd(inner, LINE);
  for (let row = 0; row < rows; row++) {
    const start = (<usize>row * inner) << 2;
    const x = buffer(buffers, 0) + start, y = buffer(buffers, 1) + start;
    const amount = rowOf(buffer(buffers, 2), kind, row, inner), target = buffer(buffers, 3) + start;
    for (let i = first; i < end; i += 4) {
      const at = <usize>i << 2, count = min(end - i, 4);
      const from = some(x + at, count);
      const share = kind == EACH_ROW_ONE ? v128.load32_splat(amount) : some(amount + at, count);
      const result = f32x4.add(from, f32x4.mul(f32x4.sub(some(y + at, count), from), share));
      if (count == 4) v128.store(target + at, result);
      else storeSome(target + at, result, count);
    }
  }
}
