/** The embedded model: where its files lie and how to use it. */
export interface EmbeddedModel {
  /** What it calls itself in output. */
  readonly name: string;
  /** A safetensors file with official RWKV-7 names; matrices packed as q8, vectors f32. */
  readonly weights: URL;
  /** Its vocabulary, in the format of the World vocabulary. */
  readonly vocabulary: URL;
  /** The sampling settings that its card recommends. */
  readonly recommended: {
    readonly temperature: number;
    readonly topP: number;
    readonly presencePenalty: number;
    readonly frequencyPenalty: number;
  };
}

/**
 * A small RWKV-7 (6.3 million parameters) that writes short stories for children, in English. Its card
 * lies beside the weights. Bundlers that know `new URL(…, import.meta.url)` carry the files along.
 */
export const stories: EmbeddedModel = {
  name: 'stories (RWKV-7, 6.3M)',
  weights: new URL('../data/model-q8.safetensors', import.meta.url),
  vocabulary: new URL('../data/vocab.txt', import.meta.url),
  recommended: { temperature: 0.6, topP: 0.9, presencePenalty: 0, frequencyPenalty: 0 },
};
