import { halfValues } from '@rwkv-js/tensor';
import type { BlockEncoding } from './block-format.ts';
import { range, reciprocal, writeF16 } from './scale.ts';

const { fround } = Math;

/**
 * 32 numbers of 4 bits, a scale and a minimum: d f16 @0; m f16 @2; qs[16] @4, low nibbles for the
 * first half. A number is d·q + m. specs/rwkv.md §5.6.
 */
export const q4_1: BlockEncoding = {
  name: 'Q4_1',
  elements: 32,
  bytes: 20,

  decode(blocks, values) {
    const half = halfValues('f16');
    for (let at = 0, to = 0; at < blocks.length; at += 20, to += 32) {
      const d = half[blocks[at] | (blocks[at + 1] << 8)];
      const m = half[blocks[at + 2] | (blocks[at + 3] << 8)];
      for (let l = 0; l < 16; l++) {
        const pair = blocks[at + 4 + l];
        values[to + l] = d * (pair & 15) + m;
        values[to + l + 16] = d * (pair >> 4) + m;
      }
    }
  },

  encode(values, blocks) {
    for (let at = 0, from = 0; from < values.length; at += 20, from += 32) {
      const [least, greatest] = range(values, from, from + 32);
      const d = fround(fround(greatest - least) / 15);
      const inverse = reciprocal(d);
      const quantise = (value: number): number =>
        Math.min(15, Math.trunc(fround(fround(fround(value - least) * inverse) + 0.5)));
      writeF16(blocks, at, d, 'Q4_1');
      writeF16(blocks, at + 2, least, 'Q4_1');
      for (let l = 0; l < 16; l++) {
        const low = quantise(values[from + l]);
        blocks[at + 4 + l] = low | (quantise(values[from + l + 16]) << 4);
      }
    }
  },
};
