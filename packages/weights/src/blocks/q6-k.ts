import { halfValues } from '@rwkv-js/tensor';
import type { BlockFormat } from './block-format.ts';

/**
 * 256 numbers of 6 bits and a scale of 8 bits for each 16: ql[128] @0; qh[64] @128; scales i8[16]
 * @192; d f16 @208. A number is d·s·(q − 32). specs/rwkv.md §5.6.
 */
export const q6K: BlockFormat = {
  name: 'Q6_K',
  elements: 256,
  bytes: 210,

  decode(blocks, values) {
    const half = halfValues('f16');
    const signed = new Int8Array(blocks.buffer, blocks.byteOffset, blocks.byteLength);
    for (let at = 0, to = 0; at < blocks.length; at += 210, to += 256) {
      const d = half[blocks[at + 208] | (blocks[at + 209] << 8)];
      for (let k = 0; k < 16; k++) {
        const scale = d * signed[at + 192 + k];
        const n = k >> 3;
        const group = (k >> 1) & 3;
        const place = 16 * (k & 1);
        const low = at + 64 * n + 32 * (group & 1) + place;
        const lowShift = 4 * (group >> 1);
        const high = at + 128 + 32 * n + place;
        const highShift = 2 * group;
        const target = to + 16 * k;
        for (let l = 0; l < 16; l++) {
          const q =
            ((blocks[low + l] >> lowShift) & 15) | (((blocks[high + l] >> highShift) & 3) << 4);
          values[target + l] = scale * (q - 32);
        }
      }
    }
  },
};
