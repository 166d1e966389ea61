import { halfValues } from '@rwkv-js/tensor';
import type { BlockFormat } from './block-format.ts';

/**
 * 256 numbers of 3 bits and a scale of 6 bits for each 16: third bits hmask[32] @0; qs[64] @32;
 * scales[12] @96; d f16 @108. A number is d·(s − 32)·(q − 4), the third bit being the 4 of q.
 * specs/rwkv.md §5.6.
 */
export const q3K: BlockFormat = {
  name: 'Q3_K',
  elements: 256,
  bytes: 110,

  decode(blocks, values) {
    const half = halfValues('f16');
    for (let at = 0, to = 0; at < blocks.length; at += 110, to += 256) {
      const d = half[blocks[at + 108] | (blocks[at + 109] << 8)];
      for (let k = 0; k < 16; k++) {
        const low = (blocks[at + 96 + (k & 7)] >> (4 * (k >> 3))) & 15;
        const high = (blocks[at + 104 + (k & 3)] >> (2 * (k >> 2))) & 3;
        const scale = d * ((low | (high << 4)) - 32);
        const group = (k >> 1) & 3;
        const bit = 4 * (k >> 3) + group;
        const mask = at + 16 * (k & 1);
        const from = at + 32 + 32 * (k >> 3) + 16 * (k & 1);
        const target = to + 16 * k;
        for (let l = 0; l < 16; l++) {
          const q = (blocks[from + l] >> (2 * group)) & 3;
          values[target + l] = scale * (q + 4 * ((blocks[mask + l] >> bit) & 1) - 4);
        }
      }
    }
  },
};
