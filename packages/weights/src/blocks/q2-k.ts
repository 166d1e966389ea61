import { halfValues } from '@rwkv-js/tensor';
import type { BlockFormat } from './block-format.ts';

/**
 * 256 numbers of 2 bits, a scale and a minimum of 4 bits for each 16: scales[16] @0; qs[64] @16;
 * d f16 @80; dmin f16 @82. A number is d·(s & 15)·q − dmin·(s >> 4). specs/rwkv.md §5.6.
 */
export const q2K: BlockFormat = {
  name: 'Q2_K',
  elements: 256,
  bytes: 84,

  decode(blocks, values) {
    const half = halfValues('f16');
    for (let at = 0, to = 0; at < blocks.length; at += 84, to += 256) {
      const d = half[blocks[at + 80] | (blocks[at + 81] << 8)];
      const dmin = half[blocks[at + 82] | (blocks[at + 83] << 8)];
      for (let k = 0; k < 16; k++) {
        const scale = d * (blocks[at + k] & 15);
        const minimum = dmin * (blocks[at + k] >> 4);
        const shift = 2 * ((k >> 1) & 3);
        const from = at + 16 + 32 * (k >> 3) + 16 * (k & 1);
        const target = to + 16 * k;
        for (let l = 0; l < 16; l++) {
          values[target + l] = scale * ((blocks[from + l] >> shift) & 3) - minimum;
        }
      }
    }
  },
};
