import { buffer, float, integer } from './arguments';
import { multiplyAdd, sumLanes } from './lanes';
import { shareEnd, shareStart } from './team';

/** Mean of `count` numbers, and 1 / √(variance + epsilon); of the last call. */
export let mean: f32 = 0;
export let scale: f32 = 0;

/** Looks at `count` numbers. */
export function measure(x: usize, count: i32, epsilon: f32): void {
  let a = f32x4.splat(0), b = a;
  let i: usize = 0;
  for (; i + 8 <= <usize>count; i += 8) {
    a = f32x4.add(a, v128.load(x + (i << 2)));
    b = f32x4.add(b, v128.load(x + (i << 2), 16));
  }
  const whole = i;
  let sum = sumLanes(f32x4.add(a, b));
  for (; i < <usize>count; i++) sum += load<f32>(x + (i << 2));
  mean = sum / <f32>count;

  const middle = f32x4.splat(mean);
  a = f32x4.splat(0);
  b = a;
  for (i = 0; i < whole; i += 8) {
    const u = f32x4.sub(v128.load(x + (i << 2)), middle);
    const v = f32x4.sub(v128.load(x + (i << 2), 16), middle);
    a = multiplyAdd(a, u, u);
    b = multiplyAdd(b, v, v);
  }
  let squares = sumLanes(f32x4.add(a, b));
  for (; i < <usize>count; i++) {
    const distance = load<f32>(x + (i << 2)) - mean;
    squares += distance * distance;
  }
  scale = <f32>1 / sqrt<f32>(squares / <f32>count + epsilon);
}

/** (x − mean) · scale · weight + bias over `count` numbers, with what `measure` found. */
export function normalise(x: usize, weight: usize, bias: usize, y: usize, count: i32): void {
  const middle = f32x4.splat(mean), factor = f32x4.splat(scale);
  let i: usize = 0;
  for (; i + 4 <= <usize>count; i += 4) {
    const at = i << 2;
    const centred = f32x4.mul(f32x4.sub(v128.load(x + at), middle), factor);
    v128.store(y + at, multiplyAdd(v128.load(bias + at), centred, v128.load(weight + at)));
  }
  for (; i < <usize>count; i++) {
    const at = i << 2;
    store<f32>(y + at, load<f32>(bias + at) + (load<f32>(x + at) - mean) * scale * load<f32>(weight + at));
  }
}

/** layerNorm and groupNorm. Buffers: x, weight, bias, y. Scalars: tokens, groups, size of a group, epsilon. */
export function groupNorm(buffers: usize, scalars: usize): void {
  const groups = integer(scalars, 1), size = integer(scalars, 2);
  const count = integer(scalars, 0) * groups;
  for (let part = shareStart(count, 1); part < shareEnd(count, 1); part++) {
    const at = (<usize>part * size) << 2, channel = (<usize>(part % groups) * size) << 2;
    measure(buffer(buffers, 0) + at, size, float(scalars, 3));
    normalise(
      buffer(buffers, 0) + at, buffer(buffers, 1) + channel, buffer(buffers, 2) + channel,
      buffer(buffers, 3) + at, size,
    );
  }
}

/** Sum of the squares of `count` numbers. */
export function sumOfSquares(x: usize, count: i32): f32 {
  return innerProduct(x, x, count);
}

/** Σ x · y */
export function innerProduct(x: usize, y: usize, count: i32): f32 {
  let a = f32x4.splat(0);
  let i: usize = 0;
  for (; i + 4 <= <usize>count; i += 4) {
    a = multiplyAdd(a, v128.load(x + (i << 2)), v128.load(y + (i << 2)));
  }
  let sum = sumLanes(a);
  for (; i < <usize>count; i++) sum += load<f32>(x + (i << 2)) * load<f32>(y + (i << 2));
  return sum;
}

/** l2Normalize. Buffers: x, y. Scalars: rows, size of a row. */
export function l2Normalize(buffers: usize, scalars: usize): void {
  const rows = integer(scalars, 0), size = integer(scalars, 1);
  for (let row = shareStart(rows, 1); row < shareEnd(rows, 1); row++) {
    const at = (<usize>row * size) << 2;
    scaleInto(buffer(buffers, 0) + at, inverseLength(buffer(buffers, 0) + at, size), buffer(buffers, 1) + at, size);
  }
}

/** 1 / max(‖x‖, 1e−12) */
export function inverseLength(x: usize, count: i32): f32 {
  return <f32>1 / max<f32>(sqrt<f32>(sumOfSquares(x, count)), <f32>1e-12);
}

export function scaleInto(x: usize, factor: f32, y: usize, count: i32): void {
  const f = f32x4.splat(factor);
  let i: usize = 0;
  for (; i + 4 <= <usize>count; i += 4) v128.store(y + (i << 2), f32x4.mul(v128.load(x + (i << 2)), f));
  for (; i < <usize>count; i++) store<f32>(y + (i << 2), load<f32>(x + (i << 2)) * factor);
}

/** sum along the last axis. Buffers: x, y. Scalars: rows, size of a row. */
export function sum(buffers: usize, scalars: usize): void {
  const rows = integer(scalars, 0), size = integer(scalars, 1);
  for (let row = shareStart(rows, 16); row < shareEnd(rows, 16); row++) {
    const x = buffer(buffers, 0) + ((<usize>row * size) << 2);
    let a = f32x4.splat(0);
    let i: usize = 0;
    for (; i + 4 <= <usize>size; i += 4) a = f32x4.add(a, v128.load(x + (i << 2)));
    let total = sumLanes(a);
    for (; i < <usize>size; i++) total += load<f32>(x + (i << 2));
    store<f32>(buffer(buffers, 1) + (<usize>row << 2), total);
  }
}
