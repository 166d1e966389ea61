import { halfValues } from '@rwkv-js/tensor';
import type { BlockFormat } from './block-format.ts';
import { minimumOf, scaleOf } from './scales-6.ts';

/**
 * 256 numbers of 5 bits, a scale and a minimum of 6 bits for each 32: d f16 @0; dmin f16 @2;
 * scales[12] @4; fifth bits qh[32] @16; qs[128] @48. A number is d·s·q − dmin·m. specs/rwkv.md §5.6.
 */
export const q5K: BlockFormat = {
  name: 'Q5_K',
  elements: 256,
  bytes: 176,

  decode(blocks, values) {
    const half = halfValues('f16');
    for (let at = 0, to = 0; at < blocks.length; at += 176, to += 256) {
      const d = half[blocks[at] | (blocks[at + 1] << 8)];
      const dmin = half[blocks[at + 2] | (blocks[at + 3] << 8)];
      const fifths = at + 16;
      for (let j = 0; j < 8; j++) {
        const scale = d * scaleOf(blocks, at + 4, j);
        const minimum = dmin * minimumOf(blocks, at + 4, j);
        const shift = 4 * (j & 1);
        const from = at + 48 + 32 * (j >> 1);
        const target = to + 32 * j;
        for (let l = 0; l < 32; l++) {
          const q = ((blocks[from + l] >> shift) & 15) | (((blocks[fifths + l] >> j) & 1) << 4);
          values[target + l] = scale * q - minimum;
        }
      }
    }
  },
};
