import { halfValues } from '@rwkv-js/tensor';
import type { BlockEncoding } from './block-format.ts';
import { range, reciprocal, writeF16 } from './scale.ts';

const { fround } = Math;

/**
 * 32 numbers of 5 bits, a scale and a minimum: d f16 @0; m f16 @2; fifth bits u32 @4, bit e for
 * number e; qs[16] @8, low nibbles for the first half. A number is d·q + m. specs/rwkv.md §5.6.
 */
export const q5_1: BlockEncoding = {
  name: 'Q5_1',
  elements: 32,
  bytes: 24,

  decode(blocks, values) {
    const half = halfValues('f16');
    for (let at = 0, to = 0; at < blocks.length; at += 24, to += 32) {
      const d = half[blocks[at] | (blocks[at + 1] << 8)];
      const m = half[blocks[at + 2] | (blocks[at + 3] << 8)];
      const lowBits = blocks[at + 4] | (blocks[at + 5] << 8);
      const highBits = blocks[at + 6] | (blocks[at + 7] << 8);
      for (let l = 0; l < 16; l++) {
        const pair = blocks[at + 8 + l];
        values[to + l] = d * ((pair & 15) | (((lowBits >> l) & 1) << 4)) + m;
        values[to + l + 16] = d * ((pair >> 4) | (((highBits >> l) & 1) << 4)) + m;
      }
    }
  },

  encode(values, blocks) {
    for (let at = 0, from = 0; from < values.length; at += 24, from += 32) {
      const [least, greatest] = range(values, from, from + 32);
      const d = fround(fround(greatest - least) / 31);
      const inverse = reciprocal(d);
      const quantise = (value: number): number =>
        Math.min(31, Math.trunc(fround(fround(fround(value - least) * inverse) + 0.5)));
      writeF16(blocks, at, d, 'Q5_1');
      writeF16(blocks, at + 2, least, 'Q5_1');
      let fifths = 0;
      for (let l = 0; l < 16; l++) {
        const low = quantise(values[from + l]);
        const high = quantise(values[from + l + 16]);
        blocks[at + 8 + l] = (low & 15) | (high << 4);
        fifths |= ((low >> 4) << l) | ((high >> 4) << (l + 16));
      }
      for (let i = 0; i < 4; i++) blocks[at + 4 + i] = fifths >> (8 * i);
    }
  },
};
