import { wkv6Backward, wkv7Backward } from '@rwkv-js/core';
import { f32, i32, plan, record, type Value } from '@rwkv-js/tensor';
import fc from 'fast-check';
import { expect, test } from 'vitest';
import { commonAdapter } from '../../test/common-adapter.ts';
import { webGpuKernels } from '../table.ts';
import { checkpointsOfSlots } from './checkpoints.ts';

test('matrices that sequences keep have places of their own, within what is allotted', () => {
  const lengths = fc.array(fc.nat(40), { minLength: 1, maxLength: 12 });
  fc.assert(
    fc.property(lengths, fc.nat(20), (each, padding) => {
      const tokens = each.reduce((sum, length) => sum + length, padding);
      const { every, count } = checkpointsOfSlots(tokens, each.length);
      const places: number[] = [];
      let start = 0;
      each.forEach((length, slot) => {
        for (let t = 0; t < length; t += every) {
          places.push(Math.floor(start / every) + slot + t / every);
        }
        start += length;
      });
      expect(new Set(places).size).toBe(places.length);
      expect(Math.max(-1, ...places)).toBeLessThan(count);
    }),
  );
});

const [slots, tokens, heads, n] = [8, 4096, 12, 64];

/** Bytes of working memory of a way back; `build` takes so many stacked rows. */
function scratchOf(
  stacked: number,
  build: (rows: Value, bonus: Value, state: Value, offsets: Value) => readonly Value[],
): number {
  const program = record('back', (g) => {
    const rows = g.input('rows', f32(stacked, tokens, heads * n));
    const bonus = g.input('bonus', f32(heads, n));
    const state = g.input('state', f32(slots, heads, n, n));
    return { y: build(rows, bonus, state, g.input('offsets', i32(slots + 1)))[0]! };
  });
  const kernels = webGpuKernels(commonAdapter);
  return Math.max(...plan(program, kernels).calls.map(({ scratchBytes }) => scratchBytes));
}

test('the way back through eight sequences of 512 tokens keeps an eleventh of the matrices or less', () => {
  const all = 4 * tokens * heads * n * n;
  const wkv7 = scratchOf(7, (rows, _, state, offsets) => wkv7Backward(rows, state, offsets, state));
  expect(all / wkv7).toBeGreaterThan(11);
  const wkv6 = scratchOf(5, (rows, bonus, state, offsets) =>
    wkv6Backward(rows, bonus, state, offsets, state),
  );
  // One work group takes the sequences in turns.
  expect(all / wkv6).toBeGreaterThan(31);
});
