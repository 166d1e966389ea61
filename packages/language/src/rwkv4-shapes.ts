import type { PlainDType, WeightEntry } from '@rwkv-js/tensor';

/** Sizes of an RWKV-4 model. */
export interface Rwkv4Shape {
  readonly layers: number;
  readonly width: number;
  readonly feedForwardWidth: number;
  readonly vocabularySize: number;
}

/**
 * The tensors of an RWKV-4 model of these sizes, without their numbers, in official form.
 *
 * @param dtype of the matrices; vectors are f32
 */
export function rwkv4Entries(
  { layers, width, feedForwardWidth, vocabularySize }: Rwkv4Shape,
  dtype: PlainDType,
): ReadonlyMap<string, WeightEntry> {
  const entries = new Map<string, WeightEntry>();
  const vectors = (prefix: string, names: string): void => {
    for (const name of names.split(' '))
      entries.set(prefix + name, { dtype: 'f32', shape: [width] });
  };
  const matrix = (name: string, ...shape: number[]): void => {
    entries.set(name, { dtype, shape });
  };
  matrix('emb.weight', vocabularySize, width);
  vectors('blocks.0.ln0.', 'weight bias');
  for (let layer = 0; layer < layers; layer++) {
    const block = `blocks.${layer}.`;
    vectors(block, 'ln1.weight ln1.bias ln2.weight ln2.bias ffn.time_mix_k ffn.time_mix_r');
    vectors(`${block}att.`, 'time_decay time_first time_mix_k time_mix_v time_mix_r');
    for (const name of ['att.receptance', 'att.key', 'att.value', 'att.output', 'ffn.receptance']) {
      matrix(`${block}${name}.weight`, width, width);
    }
    matrix(`${block}ffn.key.weight`, feedForwardWidth, width);
    matrix(`${block}ffn.value.weight`, width, feedForwardWidth);
  }
  vectors('ln_out.', 'weight bias');
  matrix('head.weight', vocabularySize, width);
  return entries;
}
