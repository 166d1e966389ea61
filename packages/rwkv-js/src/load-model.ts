import {
  LanguageModel,
  weightsIn,
  type LanguageModelOptions,
  type WeightFormat,
} from '@rwkv-js/language';
import { stories } from '@rwkv-js/stories';
import { UsageError, type WeightSource } from '@rwkv-js/tensor';
import type { Tokenizer } from '@rwkv-js/tokenizer';
import {
  mergeAdapter,
  openAdapter,
  openWeights,
  type WeightFiles,
  type WeightInput,
} from '@rwkv-js/weights';
import { tokenizerFor } from './open-tokenizer.ts';

/** A fine-tuning that is put into a model when it is loaded. */
export interface AdapterFile {
  /** LoRA, PiSSA, DiSHA, tuned state or whole tensors, in any format that `openWeights` knows. */
  readonly file: WeightInput;
  /** What a LoRA was trained with; its file does not say. */
  readonly alpha?: number | undefined;
  /** The start file of a PiSSA. */
  readonly init?: WeightInput | undefined;
}

export interface LoadModelOptions extends Omit<LanguageModelOptions, 'tokenizer'> {
  /** What the matrices are kept in on the device, such as `q8`; as the file has them without it. */
  readonly format?: WeightFormat | undefined;
  /**
   * The model's vocabulary, in any format that `openTokenizer` knows: a path, an address, a Blob, bytes,
   * or a tokenizer. Models with 256 tokens read bytes without one; others then take token ids only.
   */
  readonly vocabulary?: WeightInput | Tokenizer | undefined;
  /**
   * Adapters to merge, one after another. Matrices are merged in f32 and rounded to the dtype they have;
   * the model's file stays as it is. `model.withAdapter` keeps them apart instead.
   */
  readonly adapters?: readonly AdapterFile[] | undefined;
}

/**
 * Loads a model from a file in any format that `openWeights` knows.
 *
 * ```ts
 * const model = await loadModel('rwkv7-0.1b.pth', { device, vocabulary: 'rwkv_vocab_v20230424.txt' });
 * const storyteller = await loadModel({ device }); // the embedded model
 * ```
 *
 * @param input a path, an address, a Blob, bytes, or the Files of a model in several; the embedded
 * model when it is left out
 * @throws FormatError for a file that is no whole RWKV model; UsageError for a path that is not
 * there, a vocabulary of another model, or a LoRA without alpha; AbortError when the signal asks.
 */
export async function loadModel(
  input: WeightInput | WeightFiles,
  options: LoadModelOptions,
): Promise<LanguageModel>;
export async function loadModel(options: LoadModelOptions): Promise<LanguageModel>;
export async function loadModel(
  ...given: [LoadModelOptions] | [WeightInput | WeightFiles, LoadModelOptions]
): Promise<LanguageModel> {
  const [input, options] =
    given.length === 2
      ? given
      : [
          stories.weights,
          { recommended: stories.recommended, vocabulary: stories.vocabulary, ...given[0] },
        ];
  if (typeof options?.device?.compile !== 'function') {
    throw new UsageError(
      "loadModel was given no device; open one first: device: await openDevice('cpu')",
    );
  }
  const source = await openWithAdapters(input, options);
  try {
    const { vocabulary, format, adapters: _, ...rest } = options;
    const rows = source.tensors.get('emb.weight')?.shape[0] ?? 0;
    const tokenizer = await tokenizerFor(vocabulary, rows, { signal: options.signal });
    const weights = format === undefined ? source : weightsIn(format, source);
    return await LanguageModel.load(weights, { ...rest, tokenizer });
  } finally {
    await source.close();
  }
}

/** The weights of a model with its adapters in them. Closing them closes all files. */
async function openWithAdapters(
  input: WeightInput | WeightFiles,
  { adapters = [], signal }: LoadModelOptions,
): Promise<WeightSource> {
  let source: WeightSource = await openWeights(input, { signal });
  try {
    for (const { file, alpha, init } of adapters) {
      const adapter = await openAdapter(file, { alpha, init, signal });
      try {
        source = mergeAdapter(source, adapter);
      } catch (error) {
        await adapter.close();
        throw error;
      }
    }
    return source;
  } catch (error) {
    await source.close();
    throw error;
  }
}
