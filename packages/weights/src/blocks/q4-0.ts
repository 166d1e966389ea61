import { halfValues } from '@rwkv-js/tensor';
import type { BlockEncoding } from './block-format.ts';
import { farthest, reciprocal, writeF16 } from './scale.ts';

const { fround } = Math;

/**
 * 32 numbers of 4 bits and a scale: d f16 @0; qs[16] @2, low nibbles for the first half. A number is
 * d·(q − 8). specs/rwkv.md §5.6.
 */
export const q4_0: BlockEncoding = {
  name: 'Q4_0',
  elements: 32,
  bytes: 18,

  decode(blocks, values) {
    const half = halfValues('f16');
    for (let at = 0, to = 0; at < blocks.length; at += 18, to += 32) {
      const d = half[blocks[at] | (blocks[at + 1] << 8)];
      for (let l = 0; l < 16; l++) {
        const pair = blocks[at + 2 + l];
        values[to + l] = d * ((pair & 15) - 8);
        values[to + l + 16] = d * ((pair >> 4) - 8);
      }
    }
  },

  encode(values, blocks) {
    for (let at = 0, from = 0; from < values.length; at += 18, from += 32) {
      const d = fround(farthest(values, from, from + 32) / -8);
      const inverse = reciprocal(d);
      const quantise = (value: number): number =>
        Math.min(15, Math.trunc(fround(fround(value * inverse) + 8.5)));
      writeF16(blocks, at, d, 'Q4_0');
      for (let l = 0; l < 16; l++) {
        const low = quantise(values[from + l]);
        blocks[at + 2 + l] = low | (quantise(values[from + l + 16]) << 4);
      }
    }
  },
};
