import { buffer, integer } from './arguments';
import { activeSequences, carryState, clearRows, endHead, firstHead } from './heads';
import { multiplyAdd } from './lanes';
import { barrier } from './team';
import { sequenceStart } from './time';

/**
 * wkv5 and wkv6. Buffers: r, k, v, decay, bonus, state, offsets, y, the new state. Scalars: tokens, heads,
 * headSize (a multiple of 8), slots, and whether each token has a decay of its own.
 */
export function wkv56(buffers: usize, scalars: usize): void {
  const tokens = integer(scalars, 0), heads = integer(scalars, 1), size = integer(scalars, 2), slots = integer(scalars, 3);
  const byToken = integer(scalars, 4);
  const offsets = buffer(buffers, 6), y = buffer(buffers, 7), next = buffer(buffers, 8);
  const width = heads * size;
  if (next != buffer(buffers, 5)) {
    carryState(buffer(buffers, 5), next, slots * heads * size * size);
    barrier();
  }
  const all = activeSequences(offsets, slots);
  for (let slot = 0, active = 0; slot < slots; slot++) {
    const start = sequenceStart(offsets, slot), end = sequenceStart(offsets, slot + 1);
    if (start == end) continue;
    for (let head = firstHead(active, all, heads); head < endHead(active, all, heads); head++) {
      const matrix = next + ((<usize>(slot * heads + head) * size * size) << 2);
      const channel = <usize>(head * size) << 2;
      for (let token = start; token < end; token++) {
        const row = ((<usize>token * width) << 2) + channel;
        stepHead(
          matrix, buffer(buffers, 0) + row, buffer(buffers, 1) + row, buffer(buffers, 2) + row,
          buffer(buffers, 3) + (byToken ? row : channel), buffer(buffers, 4) + channel, y + row, size,
        );
      }
    }
    active++;
  }
  clearRows(y, sequenceStart(offsets, slots), tokens, width);
}

/**
 * One token of one head: y = r · S + (Σ r bonus k) v, S ← decay S + k vᵀ. The matrix is [key, value]; eight of
 * its columns at a time.
 */
function stepHead(
  matrix: usize, r: usize, k: usize, v: usize, decay: usize, bonus: usize, y: usize, size: i32,
): void {
  const bytes = <usize>size << 2;
  let own: f32 = 0;
  for (let i: usize = 0; i < bytes; i += 4) own += load<f32>(r + i) * load<f32>(bonus + i) * load<f32>(k + i);
  for (let column: usize = 0; column < bytes; column += 32) {
    const v0 = v128.load(v + column), v1 = v128.load(v + column, 16);
    let y0 = f32x4.mul(f32x4.splat(own), v0), y1 = f32x4.mul(f32x4.splat(own), v1);
    let entry = matrix + column;
    for (let i: usize = 0; i < bytes; i += 4) {
      const ri = v128.load32_splat(r + i), ki = v128.load32_splat(k + i), di = v128.load32_splat(decay + i);
      const s0 = v128.load(entry), s1 = v128.load(entry, 16);
      y0 = multiplyAdd(y0, ri, s0);
      y1 = multiplyAdd(y1, ri, s1);
      v128.store(entry, multiplyAdd(f32x4.mul(di, s0), ki, v0));
      v128.store(entry, multiplyAdd(f32x4.mul(di, s1), ki, v1), 16);
      entry += bytes;
    }
    v128.store(y + column, y0);
    v128.store(y + column, y1, 16);
  }
}
