import { buffer, integer } from './arguments';
import { exp4, loadSome, multiplyAdd, storeSome } from './lanes';
import { shareEnd, shareStart } from './team';
import { sequenceStart } from './time';

/**
 * wkv4, some channels for each worker. Buffers: k, v, logDecay, bonus, numerator, denominator, maximum,
 * offsets, y, and the three states anew. Scalars: tokens, width, slots.
 */
export function wkv4(buffers: usize, scalars: usize): void {
  const tokens = integer(scalars, 0), width = integer(scalars, 1), slots = integer(scalars, 2);
  const end = shareEnd(width, 16);
  for (let channel = shareStart(width, 16); channel < end; channel += 4) {
    channels(buffers, tokens, width, slots, channel, min(end - channel, 4));
  }
}

function channels(buffers: usize, tokens: i32, width: i32, slots: i32, channel: i32, count: i32): void {
  const offsets = buffer(buffers, 7);
  const stride = <usize>width << 2, place = <usize>channel << 2;
  const decay = loadSome(buffer(buffers, 2) + place, count), bonus = loadSome(buffer(buffers, 3) + place, count);
  const y = buffer(buffers, 8) + place;
  for (let slot = 0; slot < slots; slot++) {
    const row = <usize>slot * stride + place;
    let numerator = loadSome(buffer(buffers, 4) + row, count);
    let denominator = loadSome(buffer(buffers, 5) + row, count);
    let maximum = loadSome(buffer(buffers, 6) + row, count);
    for (let token = sequenceStart(offsets, slot); token < sequenceStart(offsets, slot + 1); token++) {
      const key = loadSome(buffer(buffers, 0) + token * stride + place, count);
      const value = loadSome(buffer(buffers, 1) + token * stride + place, count);

      const now = f32x4.add(bonus, key);
      const top = f32x4.max(maximum, now);
      const past = exp4(f32x4.sub(maximum, top)), current = exp4(f32x4.sub(now, top));
      const read = f32x4.div(
        multiplyAdd(f32x4.mul(past, numerator), current, value),
        multiplyAdd(current, past, denominator),
      );
      storeSome(y + token * stride, read, count);

      const decayed = f32x4.add(maximum, decay);
      maximum = f32x4.max(decayed, key);
      const keep = exp4(f32x4.sub(decayed, maximum)), enter = exp4(f32x4.sub(key, maximum));
      numerator = multiplyAdd(f32x4.mul(keep, numerator), enter, value);
      denominator = multiplyAdd(enter, keep, denominator);
    }
    storeSome(buffer(buffers, 9) + row, numerator, count);
    storeSome(buffer(buffers, 10) + row, denominator, count);
    storeSome(buffer(buffers, 11) + row, maximum, count);
  }
  for (let token = sequenceStart(offsets, slots); token < tokens; token++) {
    storeSome(y + token * stride, f32x4.splat(0), count);
  }
}
