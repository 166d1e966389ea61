import type { HubProgress } from '@rwkv-js/hub';
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
  openWeights as openWeightsOf,
  type OpenedWeights,
  type WeightFiles,
  type WeightInput,
} from '@rwkv-js/weights';
import { fetchedFiles } from './fetched-files.ts';
import { keptPacking, type KeptPacking } from './kept-packing.ts';
import type { InputOptions } from './open-input.ts';
import { tokenizerFor } from './open-tokenizer.ts';
import { withAdapters, type AdapterFile } from './with-adapters.ts';

/**
 * How far loading is, as one number that never goes down: bytes of files while any of them is fetched,
 * since their tensors go to the device as they arrive; otherwise bytes on the device.
 */
export interface LoadModelProgress {
  /** `loading`: files that are there go to the device. The others are those of fetching. */
  readonly stage: HubProgress['stage'] | 'loading';
  readonly loadedBytes: number;
  /** Undefined until it is known; it does not change then. */
  readonly totalBytes: number | undefined;
  /** True when the files have addresses and all were in the cache. */
  readonly fromCache: boolean;
}

export interface LoadModelOptions
  extends Omit<LanguageModelOptions, 'tokenizer' | 'progress'>, Pick<InputOptions, 'hub'> {
  readonly progress?: ((progress: LoadModelProgress) => void) | undefined;
  /**
   * What the matrices are kept in on the device, such as `q8`. Without it: as the file has them; those of
   * GGUF and rwkv.cpp files in 4 bits (Q4_0) as `q4`, in other blocks as `q8`.
   */
  readonly format?: WeightFormat | undefined;
  /**
   * The model's vocabulary, in any format that `openTokenizer` knows: a path, an address, a Blob, bytes,
   * or a tokenizer. Without one a GGUF file's own is taken, and models with 256 tokens read bytes; others
   * then take token ids only.
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
 * const fetched = await loadModel('hf:owner/repository/model.pth', { device, progress });
 * const storyteller = await loadModel({ device }); // the embedded model
 * ```
 *
 * A file with an address (`hf:owner/repo[@revision]/file`, http, https) is fetched once: its tensors go
 * to the device as they arrive, its bytes into the cache, and the model is there when the whole was
 * checked. From then on it is read from the cache, and no server is asked.
 *
 * @param input a path, an address, a Blob, bytes, the index of a model in several files by its path or
 * address, or those Files; the embedded model when it is left out
 * @throws FormatError for a file that is no whole RWKV model, or that a server does not give; UsageError
 * for a path that is not there, a vocabulary of another model, or a LoRA without alpha; AbortError when
 * the signal asks.
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
      'loadModel was given no device; open one first: device: await openDevice()',
    );
  }
  const { vocabulary, format, adapters = [], progress, signal, ...rest } = options;
  const ofAdapters = adapters.flatMap(({ file, init }) => [file, init]);
  await using files = await fetchedFiles([input, vocabulary, ...ofAdapters], options);
  const openPart = files.partOf(input);
  const opened = await openWeightsOf(files.instead(input), { signal, openPart });
  let source: WeightSource = opened;
  let kept: KeptPacking | undefined;
  try {
    source = await withAdapters(opened, adapters, files.instead, signal);
    const rows = source.tensors.get('emb.weight')?.shape[0] ?? 0;
    const tokenizer = await tokenizerFor(files.instead(vocabulary) ?? opened, rows, { signal });
    const packed = weightsIn(format ?? ((name) => formatOfBlocks(opened, name)), source);
    // A model in several files has no single content to keep it by.
    const file = openPart ? undefined : files.of(input);
    const warn = options.hub?.warn ?? ((message: string) => console.warn(message));
    // Adapters, like statistics, would make other weights of the same file.
    kept =
      file && format && adapters.length === 0
        ? await keptPacking(packed, source, { file, format, warn })
        : undefined;
    source = kept?.weights ?? packed;
    const { fromCache } = files;
    const model = await LanguageModel.load(source, {
      ...rest,
      signal,
      tokenizer,
      progress: files.fetching
        ? undefined
        : ({ loadedBytes, totalBytes }) =>
            progress?.({ stage: 'loading', loadedBytes, totalBytes, fromCache }),
    });
    try {
      await files.complete();
      await kept?.keep(signal);
      return model;
    } catch (error) {
      await model.dispose();
      throw error;
    }
  } finally {
    await kept?.discard();
    await source.close();
  }
}

/**
 * What a quantised tensor of a file becomes: our 4 bits where its own are the same, so that nothing is
 * rounded again, and 8 bits otherwise, which lose little of what is left.
 */
function formatOfBlocks(weights: OpenedWeights, name: string): WeightFormat | undefined {
  const blocks = weights.tensors.get(name)?.blocks?.name;
  if (blocks === undefined) return undefined;
  return blocks === 'Q4_0' ? 'q4' : 'q8';
}
