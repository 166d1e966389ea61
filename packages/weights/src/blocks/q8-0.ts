import { halfValues } from '@rwkv-js/tensor';
import type { BlockEncoding } from './block-format.ts';
import { farthest, reciprocal, writeF16 } from './scale.ts';

const { fround } = Math;

/** 32 numbers of 8 bits and a scale: d f16 @0; i8[32] @2. A number is d·q. specs/rwkv.md §5.6. */
export const q8_0: BlockEncoding = {
  name: 'Q8_0',
  elements: 32,
  bytes: 34,

  decode(blocks, values) {
    const half = halfValues('f16');
    const signed = new Int8Array(blocks.buffer, blocks.byteOffset, blocks.byteLength);
    for (let at = 0, to = 0; at < blocks.length; at += 34, to += 32) {
      const d = half[blocks[at] | (blocks[at + 1] << 8)];
      for (let l = 0; l < 32; l++) values[to + l] = d * signed[at + 2 + l];
    }
  },

  encode(values, blocks) {
    for (let at = 0, from = 0; from < values.length; at += 34, from += 32) {
      const d = fround(Math.abs(farthest(values, from, from + 32)) / 127);
      const inverse = reciprocal(d);
      writeF16(blocks, at, d, 'Q8_0');
      for (let l = 0; l < 32; l++) {
        const scaled = fround(values[from + l] * inverse);
        // Halves go away from zero, which Math.round does upwards only.
        blocks[at + 2 + l] = scaled < 0 ? -Math.round(-scaled) : Math.round(scaled);
      }
    }
  },
};
