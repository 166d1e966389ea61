import type { BlockEncoding, BlockFormat } from './block-format.ts';
import { q2K } from './q2-k.ts';
import { q3K } from './q3-k.ts';
import { q4_0 } from './q4-0.ts';
import { q4_1 } from './q4-1.ts';
import { q4K } from './q4-k.ts';
import { q5_0 } from './q5-0.ts';
import { q5_1 } from './q5-1.ts';
import { q5K } from './q5-k.ts';
import { q6K } from './q6-k.ts';
import { q8_0 } from './q8-0.ts';

/** The formats that weights can also be quantised to. */
export const blockEncodings: readonly BlockEncoding[] = [q4_0, q4_1, q5_0, q5_1, q8_0];

/** The formats that can be read, by name. */
export const blockFormats: ReadonlyMap<string, BlockFormat> = new Map(
  [...blockEncodings, q2K, q3K, q4K, q5K, q6K].map((format) => [format.name, format]),
);
