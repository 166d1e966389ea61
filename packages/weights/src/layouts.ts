import { fla } from './layouts/fla.ts';
import { gguf } from './layouts/gguf.ts';
import { huggingFace } from './layouts/hugging-face.ts';
import type { Layout } from './layouts/layout.ts';
import { official } from './layouts/official.ts';
import { rwkvCpp } from './layouts/rwkv-cpp.ts';
import { transformers7 } from './layouts/transformers7.ts';
import { webRwkvAdapter } from './layouts/web-rwkv-adapter.ts';
import { webRwkv } from './layouts/web-rwkv.ts';

/** The layouts that are undone, asked in this order: those that share the official names before it. */
export const layouts: readonly Layout[] = [
  gguf,
  rwkvCpp,
  webRwkv,
  webRwkvAdapter,
  huggingFace,
  fla,
  transformers7,
  official,
];
