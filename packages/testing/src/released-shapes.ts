import type { Rwkv7Shape } from './random-models.ts';

/** Sizes of the released RWKV-7 models, World vocabulary (specification, shapes of the released models). */
export const releasedShapes: Readonly<Record<string, Rwkv7Shape>> = {
  '0.1b': shape(12, 768, { w: 64, a: 64, v: 32, g: 128 }),
  '0.4b': shape(24, 1024, { w: 64, a: 64, v: 32, g: 128 }),
  '1.5b': shape(24, 2048, { w: 96, a: 96, v: 64, g: 256 }),
  '2.9b': shape(32, 2560, { w: 96, a: 96, v: 64, g: 320 }),
  '7.2b': shape(32, 4096, { w: 128, a: 128, v: 96, g: 480 }),
  '13.3b': shape(61, 4096, { w: 192, a: 192, v: 128, g: 384 }),
};

function shape(layers: number, width: number, ranks: Rwkv7Shape['ranks']): Rwkv7Shape {
  return { layers, width, feedForwardWidth: 4 * width, headSize: 64, vocabularySize: 65536, ranks };
}
