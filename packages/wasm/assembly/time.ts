import { buffer, float, integer } from './arguments';
import { loadSome, multiplyAdd, storeSome } from './lanes';
import { mean, measure, scale } from './norms';
import { barrier, own, shared, shareEnd, shareStart } from './team';

/** Channels are shared out in cache lines. */
const LINE: i32 = 16;

/** The first row of a slot's sequence in this step; that of the next slot is where it ends. */
// @ts-ignore: decorator
@inline
export function sequenceStart(offsets: usize, slot: i32): i32 {
  return load<i32>(offsets + (<usize>slot << 2));
}

/**
 * tokenShift. Each worker takes some channels of all rows, so a state is read and written by one. Buffers:
 * x, state, offsets, shifted, new state. Scalars: tokens, width, slots.
 */
export function tokenShift(buffers: usize, scalars: usize): void {
  const tokens = integer(scalars, 0), width = integer(scalars, 1), slots = integer(scalars, 2);
  const offsets = buffer(buffers, 2);
  const first = shareStart(width, LINE), count = shareEnd(width, LINE) - first;
  const bytes = <usize>count << 2;
  for (let slot = 0; slot < slots; slot++) {
    const kept = at(buffer(buffers, 4), slot, width, first);
    memory.copy(kept, at(buffer(buffers, 1), slot, width, first), bytes);
    for (let token = sequenceStart(offsets, slot); token < sequenceStart(offsets, slot + 1); token++) {
      memory.copy(at(buffer(buffers, 3), token, width, first), kept, bytes);
      memory.copy(kept, at(buffer(buffers, 0), token, width, first), bytes);
    }
  }
  for (let token = sequenceStart(offsets, slots); token < tokens; token++) {
    memory.fill(at(buffer(buffers, 3), token, width, first), 0, bytes);
  }
}

/** Where a channel of a row lies. */
// @ts-ignore: decorator
@inline
function at(rows: usize, row: i32, width: i32, channel: i32): usize {
  return rows + ((<usize>row * width + channel) << 2);
}

/**
 * normShiftMix. Buffers: x, weight, bias, mixes, state, offsets, delta where there is one, then the new x,
 * mixed, the new state. Scalars: tokens, width, slots, mixes, epsilon, whether there is a delta.
 */
export function normShiftMix(buffers: usize, scalars: usize): void {
  const tokens = integer(scalars, 0), width = integer(scalars, 1), slots = integer(scalars, 2);
  const count = integer(scalars, 3), hasDelta = integer(scalars, 5);
  const state = buffer(buffers, 4), offsets = buffer(buffers, 5);
  const sum = buffer(buffers, 6 + hasDelta), mixed = buffer(buffers, 7 + hasDelta), next = buffer(buffers, 8 + hasDelta);

  // Rows are shared out to be added and measured, then channels to be mixed.
  for (let token = shareStart(tokens, 1); token < shareEnd(tokens, 1); token++) {
    const row = at(sum, token, width, 0), x = at(buffer(buffers, 0), token, width, 0);
    if (hasDelta) addRows(x, at(buffer(buffers, 6), token, width, 0), row, width);
    else if (row != x) memory.copy(row, x, <usize>width << 2);
    measure(row, width, float(scalars, 4));
    store<f32>(shared + (<usize>token << 3), mean);
    store<f32>(shared + (<usize>token << 3), scale, 4);
  }
  barrier();

  const first = shareStart(width, LINE), channels = shareEnd(width, LINE) - first;
  const weight = at(buffer(buffers, 1), 0, width, first), bias = at(buffer(buffers, 2), 0, width, first);
  const mixes = at(buffer(buffers, 3), 0, width, first);
  const planes = <usize>tokens * width << 2;
  const bytes = <usize>channels << 2;
  for (let slot = 0; slot < slots; slot++) {
    const end = sequenceStart(offsets, slot + 1);
    memory.copy(own, at(state, slot, width, first), bytes);
    for (let token = sequenceStart(offsets, slot); token < end; token++) {
      mixRow(at(sum, token, width, first), token, weight, bias, mixes, count, width, channels, at(mixed, token, width, first), planes);
    }
    memory.copy(at(next, slot, width, first), own, bytes);
  }
  for (let token = sequenceStart(offsets, slots); token < tokens; token++) {
    memory.fill(own, 0, bytes);
    mixRow(at(sum, token, width, first), token, weight, bias, mixes, count, width, channels, at(mixed, token, width, first), planes);
  }
}

function addRows(x: usize, y: usize, to: usize, count: i32): void {
  let i = 0;
  for (; i + 4 <= count; i += 4) {
    const place = <usize>i << 2;
    v128.store(to + place, f32x4.add(v128.load(x + place), v128.load(y + place)));
  }
  for (; i < count; i++) {
    const place = <usize>i << 2;
    store<f32>(to + place, load<f32>(x + place) + load<f32>(y + place));
  }
}

/**
 * Normalises some channels of a row and mixes them with those of the row before, which `own` holds; then it
 * holds this one's.
 */
function mixRow(
  row: usize, token: i32, weight: usize, bias: usize, mixes: usize, count: i32, width: i32, channels: i32,
  mixed: usize, planes: usize,
): void {
  const middle = v128.load32_splat(shared + (<usize>token << 3));
  const factor = v128.load32_splat(shared + (<usize>token << 3), 4);
  for (let i = 0; i < channels; i += 4) {
    const place = <usize>i << 2, some = min(channels - i, 4);
    const centred = f32x4.mul(f32x4.sub(loadUpTo(row + place, some), middle), factor);
    const normed = multiplyAdd(loadUpTo(bias + place, some), centred, loadUpTo(weight + place, some));
    const way = f32x4.sub(loadUpTo(own + place, some), normed);
    let mix = mixes + place, to = mixed + place;
    for (let m = 0; m < count; m++) {
      storeUpTo(to, multiplyAdd(normed, way, loadUpTo(mix, some)), some);
      mix += <usize>width << 2;
      to += planes;
    }
    storeUpTo(own + place, normed, some);
  }
}

// @ts-ignore: decorator
@inline
function loadUpTo(from: usize, count: i32): v128 {
  return count == 4 ? v128.load(from) : loadSome(from, count);
}

// @ts-ignore: decorator
@inline
function storeUpTo(to: usize, v: v128, count: i32): void {
  if (count == 4) v128.store(to, v);
  else storeSome(to, v, count);
}
