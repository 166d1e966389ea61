import type { WeightSource } from '@rwkv-js/tensor';
import { mergeAdapter, openAdapter, type WeightInput } from '@rwkv-js/weights';

/** A fine-tuning that is put into a model when it is loaded. */
export interface AdapterFile {
  /** LoRA, PiSSA, DiSHA, tuned state or whole tensors, in any format that `openWeights` knows. */
  readonly file: WeightInput;
  /** What a LoRA was trained with; its file does not say. */
  readonly alpha?: number | undefined;
  /** The start file of a PiSSA. */
  readonly init?: WeightInput | undefined;
}

/**
 * Weights with adapters merged into them, one after another. Closing them closes all files.
 *
 * @param instead the file that was opened for an input, or the input
 */
export async function withAdapters(
  weights: WeightSource,
  adapters: readonly AdapterFile[],
  instead: <T>(input: T) => T | WeightInput,
  signal: AbortSignal | undefined,
): Promise<WeightSource> {
  let source = weights;
  for (const { file, alpha, init } of adapters) {
    const start = init === undefined ? undefined : instead(init);
    const adapter = await openAdapter(instead(file), { alpha, init: start, signal });
    try {
      source = mergeAdapter(source, adapter);
    } catch (error) {
      await adapter.close();
      throw error;
    }
  }
  return source;
}
