import { buffer, float, integer } from './arguments';
import { blockBytes } from './blocks';
import { highQuants, lowQuants } from './columns';
import { activeSequences, carryState, endHead, firstHead } from './heads';
import { exp4, loadSome, multiplyAdd, sigmoid4, splat, storeSome, sumLanes, tanh4 } from './lanes';
import { product } from './linear';
import { quantizedProduct } from './packed-linear';
import { tokensTimesGroup } from './matrix-matrix';
import { inverseLength, measure, normalise } from './norms';
import { barrier, own, shareEnd, shareStart } from './team';
import { sequenceStart } from './time';
import { widen, widen4 } from './weights';
import { stepDelta } from './wkv7';

/**
 * timeMix7Project. Buffers: mixed, receptance, key, value, down, r, k, v, low. Scalars: tokens, width, rows of
 * receptance and how many of them lie in panels, dtypes of the four matrices, ranks of w, a, v, g, which are
 * multiples of a panel's rows.
 */
export function timeMix7Project(buffers: usize, scalars: usize): void {
  const tokens = integer(scalars, 0), width = integer(scalars, 1), rows = integer(scalars, 2), packed = integer(scalars, 3);
  const stride = <usize>width << 2, out = <usize>rows << 2;
  const mixed = buffer(buffers, 0), plane = <usize>tokens * stride;
  // The mixes lie in the order r, w, k, v, a, g.
  product(mixed, stride, tokens, width, buffer(buffers, 1), integer(scalars, 4), rows, packed, buffer(buffers, 5), out, 0, 0);
  product(mixed + 2 * plane, stride, tokens, width, buffer(buffers, 2), integer(scalars, 5), rows, packed, buffer(buffers, 6), out, 0, 0);
  product(mixed + 3 * plane, stride, tokens, width, buffer(buffers, 3), integer(scalars, 6), rows, packed, buffer(buffers, 7), out, 0, 0);

  const dtype = integer(scalars, 7);
  const w = integer(scalars, 8), a = integer(scalars, 9), v = integer(scalars, 10), g = integer(scalars, 11);
  const low = <usize>(w + a + v + g) << 2;
  let weight = buffer(buffers, 4), to = buffer(buffers, 8);
  const row = (dtype == 0 ? stride : stride >> 1);
  product(mixed + plane, stride, tokens, width, weight, dtype, w, w, to, low, 0, 0);
  weight += row * w;
  to += <usize>w << 2;
  product(mixed + 4 * plane, stride, tokens, width, weight, dtype, a, a, to, low, 0, 0);
  weight += row * a;
  to += <usize>a << 2;
  product(mixed + 3 * plane, stride, tokens, width, weight, dtype, v, v, to, low, 0, 0);
  weight += row * v;
  to += <usize>v << 2;
  product(mixed + 5 * plane, stride, tokens, width, weight, dtype, g, g, to, low, 0, 0);
}

/**
 * The same where everything is packed along rows. Buffers: as there, mixed being quants, then scales. Scalars:
 * tokens, width, rows of receptance, bits of the four matrices, ranks, which are multiples of 8.
 */
export function timeMix7ProjectPacked(buffers: usize, scalars: usize): void {
  const tokens = integer(scalars, 0), width = integer(scalars, 1), rows = integer(scalars, 2);
  const out = <usize>rows << 2, low = <usize>(integer(scalars, 7) + integer(scalars, 8) + integer(scalars, 9) + integer(scalars, 10)) << 2;
  projectMix(buffers, tokens, width, 0, buffer(buffers, 1), integer(scalars, 3), rows, buffer(buffers, 5), out);
  projectMix(buffers, tokens, width, 2, buffer(buffers, 2), integer(scalars, 4), rows, buffer(buffers, 6), out);
  projectMix(buffers, tokens, width, 3, buffer(buffers, 3), integer(scalars, 5), rows, buffer(buffers, 7), out);
  const bits = integer(scalars, 6);
  let weight = buffer(buffers, 4), to = buffer(buffers, 8);
  for (let part = 0; part < 4; part++) {
    const rank = integer(scalars, 7 + part);
    // The parts lie in the order w, a, v, g.
    const mix = part == 0 ? 1 : part == 1 ? 4 : part == 2 ? 3 : 5;
    projectMix(buffers, tokens, width, mix, weight, bits, rank, to, low);
    weight += <usize>(rank >> 3) * (width >> 5) * blockBytes(bits);
    to += <usize>rank << 2;
  }
}

function projectMix(
  buffers: usize, tokens: i32, width: i32, mix: i32, weight: usize, bits: i32, rows: i32, y: usize, yStride: usize,
): void {
  const mixed = buffer(buffers, 0), plane = <usize>tokens * width;
  quantizedProduct(
    mixed + mix * plane, mixed + 6 * plane + mix * (plane >> 3), tokens, width, weight, bits, rows, y, yStride, 0,
  );
}

const IDENTITY: i32 = 0;
const TANH: i32 = 1;
const SIGMOID: i32 = 2;

/** Tokens that are so few that weights are widened for each of them, 32 channels at a time. */
const FEW: i32 = 4;

/**
 * timeMix7Raise. Buffers: low, up, biases, value, first value where there is one, decay, rate, value, gate.
 * Scalars: tokens, width (a multiple of 8), dtype of up, ranks of w, a, v, g.
 */
export function timeMix7Raise(buffers: usize, scalars: usize): void {
  const tokens = integer(scalars, 0), width = integer(scalars, 1), dtype = integer(scalars, 2);
  const w = integer(scalars, 3), a = integer(scalars, 4), v = integer(scalars, 5), g = integer(scalars, 6);
  const total = w + a + v + g, hasFirst = v > 0 ? 1 : 0;
  const stride = <usize>width << 2, low = <usize>total << 2;
  const up = buffer(buffers, 1), biases = buffer(buffers, 2);
  const decay = buffer(buffers, 4 + hasFirst), rate = buffer(buffers, 5 + hasFirst);
  const value = buffer(buffers, 6 + hasFirst), gate = buffer(buffers, 7 + hasFirst);

  // What enters the products, made by each worker for itself; behind it the weights of eight channels.
  const inner = own, weights = own + <usize>tokens * low;
  for (let token: usize = 0; token < <usize>tokens; token++) {
    let from = buffer(buffers, 0) + token * low, to = inner + token * low;
    activate(from, to, w, TANH);
    activate(from + (<usize>w << 2), to + (<usize>w << 2), a + v, IDENTITY);
    activate(from + (<usize>(w + a + v) << 2), to + (<usize>(w + a + v) << 2), g, SIGMOID);
  }
  const unit = tokens <= FEW && (width & 31) == 0 ? 32 : 8, end = shareEnd(width, unit);
  for (let channel = shareStart(width, unit); channel < end; channel += unit) {
    const place = <usize>channel << 2;
    let row = 0;
    raise(up, dtype, total, row, w, width, channel, unit, weights, inner, low, tokens, decay + place, stride);
    row += w;
    raise(up, dtype, total, row, a, width, channel, unit, weights, inner, low, tokens, rate + place, stride);
    row += a;
    if (v > 0) raise(up, dtype, total, row, v, width, channel, unit, weights, inner, low, tokens, value + place, stride);
    row += v;
    raise(up, dtype, total, row, g, width, channel, unit, weights, inner, low, tokens, gate + place, stride);
    for (let part: usize = 0; part < <usize>unit << 2; part += 16) {
      const bias = biases + place + part;
      const w0 = v128.load(bias), a0 = v128.load(bias + stride);
      const v0 = v > 0 ? v128.load(bias + 2 * stride) : w0;
      for (let token: usize = 0; token < <usize>tokens; token++) {
        const at = token * stride + place + part;
        const sigma = sigmoid4(f32x4.add(v128.load(decay + at), w0));
        // −e^(−½)
        v128.store(decay + at, exp4(f32x4.mul(sigma, splat(-0.6065306597126334))));
        v128.store(rate + at, sigmoid4(f32x4.add(v128.load(rate + at), a0)));
        let mixed = v128.load(buffer(buffers, 3) + at);
        if (v > 0) {
          const share = sigmoid4(f32x4.add(v128.load(value + at), v0));
          mixed = multiplyAdd(mixed, f32x4.sub(v128.load(buffer(buffers, 4) + at), mixed), share);
        }
        v128.store(value + at, mixed);
      }
    }
  }
}

function activate(from: usize, to: usize, count: i32, which: i32): void {
  for (let i = 0; i < count; i += 4) {
    const at = <usize>i << 2, some = min(count - i, 4);
    let x = loadSome(from + at, some);
    if (which == TANH) x = tanh4(x);
    else if (which == SIGMOID) x = sigmoid4(x);
    storeSome(to + at, x, some);
  }
}

/** Rows `first` to `first + rank` of up for some channels, times the part of `inner` that is theirs. */
function raise(
  up: usize, dtype: i32, rows: i32, first: i32, rank: i32, width: i32, channel: i32, channels: i32, weights: usize,
  inner: usize, low: usize, tokens: i32, y: usize, stride: usize,
): void {
  const count = <usize>rows * width;
  inner += <usize>first << 2;
  if (channels == 32) {
    for (let token = 0; token < tokens; token++) {
      if (dtype == 0) raiseOne<f32>(up, first, rank, width, channel, inner, y);
      else if (dtype == 1) raiseOne<u16>(up, first, rank, width, channel, inner, y);
      else if (dtype == 2) raiseOne<i16>(up, first, rank, width, channel, inner, y);
      else if (dtype == 3) raisePacked(up, 8, count, first, rank, width, channel, inner, y);
      else raisePacked(up, 4, count, first, rank, width, channel, inner, y);
      inner += low;
      y += stride;
    }
    return;
  }
  if (dtype == 0) widenRows<f32>(up, first, rank, width, channel, weights);
  else if (dtype == 1) widenRows<u16>(up, first, rank, width, channel, weights);
  else if (dtype == 2) widenRows<i16>(up, first, rank, width, channel, weights);
  else widenPackedRows(up, dtype == 3 ? 8 : 4, count, first, rank, width, channel, weights);
  tokensTimesGroup(weights, rank, inner, low, tokens, y, stride, false);
}

/** One token, 32 channels: sums in the order of `tokensTimesGroup`. */
function raiseOne<T>(up: usize, first: i32, rank: i32, width: i32, channel: i32, x: usize, y: usize): void {
  const size: usize = sizeof<T>();
  let from = up + (<usize>first * width + channel) * size;
  let a = splat(0), b = a, c = a, d = a, e = a, f = a, g = a, h = a;
  for (const end = x + (<usize>rank << 2); x < end; x += 4) {
    const s = v128.load32_splat(x);
    a = multiplyAdd(a, s, widen4<T>(from));
    b = multiplyAdd(b, s, widen4<T>(from + 4 * size));
    c = multiplyAdd(c, s, widen4<T>(from + 8 * size));
    d = multiplyAdd(d, s, widen4<T>(from + 12 * size));
    e = multiplyAdd(e, s, widen4<T>(from + 16 * size));
    f = multiplyAdd(f, s, widen4<T>(from + 20 * size));
    g = multiplyAdd(g, s, widen4<T>(from + 24 * size));
    h = multiplyAdd(h, s, widen4<T>(from + 28 * size));
    from += <usize>width * size;
  }
  v128.store(y, a); v128.store(y, b, 16); v128.store(y, c, 32); v128.store(y, d, 48);
  v128.store(y, e, 64); v128.store(y, f, 80); v128.store(y, g, 96); v128.store(y, h, 112);
}

/** The same of packed rows, as files have them; `count` numbers in all. The 32 channels are a block of each row. */
// @ts-ignore: decorator
@inline
function raisePacked(
  up: usize, bits: i32, count: usize, first: i32, rank: i32, width: i32, channel: i32, x: usize, y: usize,
): void {
  const block = (<usize>first * width + channel) >> 5;
  let quants = up + (block * bits << 2), scales = up + (count * bits >> 3) + (block << 1);
  let a = splat(0), b = a, c = a, d = a, e = a, f = a, g = a, h = a;
  for (const end = x + (<usize>rank << 2); x < end; x += 4) {
    const s = v128.load32_splat(x), scale = splat(widen<u16>(scales));
    let words: v128, others: v128;
    if (bits == 8) {
      words = v128.load8x8_s(quants);
      others = v128.load8x8_s(quants, 8);
    } else {
      const low = lowQuants(v128.load(quants));
      words = i16x8.extend_low_i8x16_s(low);
      others = i16x8.extend_high_i8x16_s(low);
    }
    a = addLow(a, s, scale, words); b = addHigh(b, s, scale, words);
    c = addLow(c, s, scale, others); d = addHigh(d, s, scale, others);
    if (bits == 8) {
      words = v128.load8x8_s(quants, 16);
      others = v128.load8x8_s(quants, 24);
    } else {
      const high = highQuants(v128.load(quants));
      words = i16x8.extend_low_i8x16_s(high);
      others = i16x8.extend_high_i8x16_s(high);
    }
    e = addLow(e, s, scale, words); f = addHigh(f, s, scale, words);
    g = addLow(g, s, scale, others); h = addHigh(h, s, scale, others);
    quants += <usize>width * bits >> 3;
    scales += <usize>width >> 4;
  }
  v128.store(y, a); v128.store(y, b, 16); v128.store(y, c, 32); v128.store(y, d, 48);
  v128.store(y, e, 64); v128.store(y, f, 80); v128.store(y, g, 96); v128.store(y, h, 112);
}

/** sum + x · (scale · quant), of the first four of eight quants and of the others. */
// @ts-ignore: decorator
@inline
function addLow(sum: v128, x: v128, scale: v128, quants: v128): v128 {
  return multiplyAdd(sum, x, f32x4.mul(scale, f32x4.convert_i32x4_s(i32x4.extend_low_i16x8_s(quants))));
}

// @ts-ignore: decorator
@inline
function addHigh(sum: v128, x: v128, scale: v128, quants: v128): v128 {
  return multiplyAdd(sum, x, f32x4.mul(scale, f32x4.convert_i32x4_s(i32x4.extend_high_i16x8_s(quants))));
}

function widenRows<T>(up: usize, first: i32, rank: i32, width: i32, channel: i32, to: usize): void {
  let from = up + (<usize>first * width + channel) * sizeof<T>();
  for (let row = 0; row < rank; row++) {
    v128.store(to, widen4<T>(from));
    v128.store(to, widen4<T>(from + 4 * sizeof<T>()), 16);
    from += <usize>width * sizeof<T>();
    to += 32;
  }
}

/** The same of packed rows, as files have them; `count` numbers in all. */
function widenPackedRows(
  up: usize, bits: i32, count: usize, first: i32, rank: i32, width: i32, channel: i32, to: usize,
): void {
  const scales = up + (count * bits >> 3);
  for (let row = first; row < first + rank; row++) {
    const block = (<usize>row * width + channel) >> 5;
    const scale = splat(widen<u16>(scales + (block << 1)));
    let quants: v128;
    if (bits == 8) quants = v128.load8x8_s(up + <usize>row * width + channel);
    else {
      const group = (channel >> 3) & 3;
      const bytes = v128.load(up + (block << 4));
      const half = group < 2 ? lowQuants(bytes) : highQuants(bytes);
      quants = (group & 1) == 0 ? i16x8.extend_low_i8x16_s(half) : i16x8.extend_high_i8x16_s(half);
    }
    v128.store(to, f32x4.mul(scale, f32x4.convert_i32x4_s(i32x4.extend_low_i16x8_s(quants))));
    v128.store(to, f32x4.mul(scale, f32x4.convert_i32x4_s(i32x4.extend_high_i16x8_s(quants))), 16);
    to += 32;
  }
}

/**
 * timeMix7Recur. Buffers: r, decay, k, v, rate, gate, vectors, state, offsets, y, the new state. Scalars: tokens,
 * heads, headSize (a multiple of 4), slots, epsilon.
 */
export function timeMix7Recur(buffers: usize, scalars: usize): void {
  const tokens = integer(scalars, 0), heads = integer(scalars, 1), size = integer(scalars, 2), slots = integer(scalars, 3);
  const offsets = buffer(buffers, 8), next = buffer(buffers, 10);
  if (next != buffer(buffers, 7)) {
    carryState(buffer(buffers, 7), next, slots * heads * size * size);
    barrier();
  }
  const all = activeSequences(offsets, slots);
  for (let slot = 0, active = 0; slot < slots; slot++) {
    const start = sequenceStart(offsets, slot), end = sequenceStart(offsets, slot + 1);
    if (start == end) continue;
    for (let head = firstHead(active, all, heads); head < endHead(active, all, heads); head++) {
      const matrix = next + ((<usize>(slot * heads + head) * size * size) << 2);
      for (let token = start; token < end; token++) recurHead(buffers, scalars, token, head, matrix);
    }
    active++;
  }
  const used = sequenceStart(offsets, slots);
  for (let head = shareStart(heads, 1); head < shareEnd(heads, 1); head++) {
    for (let token = used; token < tokens; token++) recurHead(buffers, scalars, token, head, 0);
  }
}

/** One token of one head; without a matrix, what padding gives: nothing is read. */
function recurHead(buffers: usize, scalars: usize, token: i32, head: i32, matrix: usize): void {
  const heads = integer(scalars, 1), size = integer(scalars, 2);
  const bytes = <usize>size << 2, width = <usize>heads * bytes, channel = <usize>head * bytes;
  const row = <usize>token * width + channel;
  const r = buffer(buffers, 0) + row, decay = buffer(buffers, 1) + row, k = buffer(buffers, 2) + row;
  const v = buffer(buffers, 3) + row, rate = buffer(buffers, 4) + row, gate = buffer(buffers, 5) + row;
  const y = buffer(buffers, 9) + row;
  const keyScale = buffer(buffers, 6) + channel, keyRate = keyScale + width, bonusScale = keyRate + width;
  const normWeight = bonusScale + width, normBias = normWeight + width;
  const a = own, b = a + bytes, key = b + bytes, read = key + bytes;

  for (let i: usize = 0; i < bytes; i += 16) {
    v128.store(a + i, f32x4.mul(v128.load(k + i), v128.load(keyScale + i)));
  }
  const inverse = splat(-inverseLength(a, size));
  let agreement = splat(0);
  for (let i: usize = 0; i < bytes; i += 16) {
    const minusKappa = f32x4.mul(v128.load(a + i), inverse), rates = v128.load(rate + i), ki = v128.load(k + i);
    const scaled = multiplyAdd(ki, f32x4.sub(f32x4.mul(ki, rates), ki), v128.load(keyRate + i));
    v128.store(a + i, minusKappa);
    v128.store(b + i, f32x4.neg(f32x4.mul(minusKappa, rates)));
    v128.store(key + i, scaled);
    agreement = multiplyAdd(agreement, f32x4.mul(v128.load(r + i), scaled), v128.load(bonusScale + i));
  }
  if (matrix == 0) memory.fill(read, 0, bytes);
  else stepDelta(matrix, r, decay, key, v, a, b, read, size);
  measure(read, size, float(scalars, 4));
  normalise(read, normWeight, normBias, y, size);
  const bonus = splat(sumLanes(agreement));
  for (let i: usize = 0; i < bytes; i += 16) {
    const sum = multiplyAdd(v128.load(y + i), bonus, v128.load(v + i));
    v128.store(y + i, f32x4.mul(sum, v128.load(gate + i)));
  }
}
