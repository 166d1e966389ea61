import { buffer, integer } from './arguments';
import { activeSequences, carryState, clearRows, endHead, firstHead } from './heads';
import { multiplyAdd, sumLanes } from './lanes';
import { barrier } from './team';
import { sequenceStart } from './time';

/**
 * wkv7. Buffers: r, decay, k, v, a, b, state, offsets, y, the new state. Scalars: tokens, heads, headSize (a
 * multiple of 4), slots.
 */
export function wkv7(buffers: usize, scalars: usize): void {
  const tokens = integer(scalars, 0), heads = integer(scalars, 1), size = integer(scalars, 2), slots = integer(scalars, 3);
  const offsets = buffer(buffers, 7), y = buffer(buffers, 8), next = buffer(buffers, 9);
  const width = heads * size;
  if (next != buffer(buffers, 6)) {
    carryState(buffer(buffers, 6), next, slots * heads * size * size);
    barrier();
  }
  const all = activeSequences(offsets, slots);
  for (let slot = 0, active = 0; slot < slots; slot++) {
    const start = sequenceStart(offsets, slot), end = sequenceStart(offsets, slot + 1);
    if (start == end) continue;
    for (let head = firstHead(active, all, heads); head < endHead(active, all, heads); head++) {
      const matrix = next + ((<usize>(slot * heads + head) * size * size) << 2);
      for (let token = start; token < end; token++) {
        const row = (<usize>token * width + head * size) << 2;
        stepDelta(
          matrix, buffer(buffers, 0) + row, buffer(buffers, 1) + row, buffer(buffers, 2) + row,
          buffer(buffers, 3) + row, buffer(buffers, 4) + row, buffer(buffers, 5) + row, y + row, size,
        );
      }
    }
    active++;
  }
  clearRows(y, sequenceStart(offsets, slots), tokens, width);
}

/**
 * One token of one head: S ← S diag(decay) + (S a) bᵀ + v kᵀ, y = S r. The matrix is [value, key]; four of its
 * rows at a time, which need nothing of the others.
 */
export function stepDelta(
  matrix: usize, r: usize, decay: usize, k: usize, v: usize, a: usize, b: usize, y: usize, size: i32,
): void {
  const bytes = <usize>size << 2;
  for (let row: usize = 0; row < bytes; row += 16) {
    const s0 = matrix, s1 = s0 + bytes, s2 = s1 + bytes, s3 = s2 + bytes;
    let p0 = f32x4.splat(0), p1 = p0, p2 = p0, p3 = p0;
    for (let j: usize = 0; j < bytes; j += 16) {
      const aj = v128.load(a + j);
      p0 = multiplyAdd(p0, v128.load(s0 + j), aj);
      p1 = multiplyAdd(p1, v128.load(s1 + j), aj);
      p2 = multiplyAdd(p2, v128.load(s2 + j), aj);
      p3 = multiplyAdd(p3, v128.load(s3 + j), aj);
    }
    const r0 = f32x4.splat(sumLanes(p0)), r1 = f32x4.splat(sumLanes(p1));
    const r2 = f32x4.splat(sumLanes(p2)), r3 = f32x4.splat(sumLanes(p3));
    const v0 = v128.load32_splat(v + row), v1 = v128.load32_splat(v + row, 4);
    const v2 = v128.load32_splat(v + row, 8), v3 = v128.load32_splat(v + row, 12);
    let y0 = f32x4.splat(0), y1 = y0, y2 = y0, y3 = y0;
    for (let j: usize = 0; j < bytes; j += 16) {
      const dj = v128.load(decay + j), bj = v128.load(b + j), kj = v128.load(k + j), rj = v128.load(r + j);
      let s = multiplyAdd(multiplyAdd(f32x4.mul(v128.load(s0 + j), dj), r0, bj), v0, kj);
      v128.store(s0 + j, s);
      y0 = multiplyAdd(y0, s, rj);
      s = multiplyAdd(multiplyAdd(f32x4.mul(v128.load(s1 + j), dj), r1, bj), v1, kj);
      v128.store(s1 + j, s);
      y1 = multiplyAdd(y1, s, rj);
      s = multiplyAdd(multiplyAdd(f32x4.mul(v128.load(s2 + j), dj), r2, bj), v2, kj);
      v128.store(s2 + j, s);
      y2 = multiplyAdd(y2, s, rj);
      s = multiplyAdd(multiplyAdd(f32x4.mul(v128.load(s3 + j), dj), r3, bj), v3, kj);
      v128.store(s3 + j, s);
      y3 = multiplyAdd(y3, s, rj);
    }
    store<f32>(y + row, sumLanes(y0));
    store<f32>(y + row, sumLanes(y1), 4);
    store<f32>(y + row, sumLanes(y2), 8);
    store<f32>(y + row, sumLanes(y3), 12);
    matrix += bytes << 2;
  }
}
