import type { PlainDType, WeightEntry } from '@rwkv-js/tensor';

/** Sizes of an RWKV-7 model. */
export interface Rwkv7Shape {
  readonly layers: number;
  readonly width: number;
  readonly feedForwardWidth: number;
  readonly headSize: number;
  readonly vocabularySize: number;
  readonly ranks: {
    readonly w: number;
    readonly a: number;
    readonly v: number;
    readonly g: number;
  };
}

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

/**
 * The tensors of a model of these sizes, without their numbers.
 *
 * @param dtype of the matrices; vectors are f32
 */
export function rwkv7Entries(
  sizes: Rwkv7Shape,
  dtype: PlainDType,
): ReadonlyMap<string, WeightEntry> {
  const entries = new Map<string, WeightEntry>();
  for (const [name, tensorShape] of rwkv7Tensors(sizes)) {
    // r_k is a vector that is written as [heads, headSize].
    const isMatrix = tensorShape.length > 1 && !name.endsWith('r_k');
    entries.set(name, { dtype: isMatrix ? dtype : 'f32', shape: tensorShape });
  }
  return entries;
}

/** Names and shapes of all tensors, in official form. */
function* rwkv7Tensors({
  layers,
  width,
  feedForwardWidth,
  headSize,
  vocabularySize,
  ranks,
}: Rwkv7Shape): Generator<readonly [string, readonly number[]]> {
  const vectors = (prefix: string, names: string): [string, number[]][] =>
    names.split(' ').map((name) => [`${prefix}${name}`, [width]]);
  yield ['emb.weight', [vocabularySize, width]];
  yield* vectors('blocks.0.ln0.', 'weight bias');
  for (let layer = 0; layer < layers; layer++) {
    const block = `blocks.${layer}.`;
    yield* vectors(block, 'ln1.weight ln1.bias ln2.weight ln2.bias ffn.x_k');
    yield* vectors(`${block}att.`, 'x_r x_w x_k x_v x_a x_g w0 a0 k_k k_a ln_x.weight ln_x.bias');
    if (layer > 0) yield [`${block}att.v0`, [width]];
    for (const [letter, rank] of Object.entries(ranks)) {
      if (letter === 'v' && layer === 0) continue;
      yield [`${block}att.${letter}1`, [width, rank]];
      yield [`${block}att.${letter}2`, [rank, width]];
    }
    yield [`${block}att.r_k`, [width / headSize, headSize]];
    for (const name of ['receptance', 'key', 'value', 'output']) {
      yield [`${block}att.${name}.weight`, [width, width]];
    }
    yield [`${block}ffn.key.weight`, [feedForwardWidth, width]];
    yield [`${block}ffn.value.weight`, [width, feedForwardWidth]];
  }
  yield* vectors('ln_out.', 'weight bias');
  yield ['head.weight', [vocabularySize, width]];
}
