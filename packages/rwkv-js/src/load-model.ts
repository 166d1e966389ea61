import { openFiles, type HubFile, type OpenFilesOptions, type HubProgress } from '@rwkv-js/hub';
import {
  LanguageModel,
  weightsIn,
  type LanguageModelOptions,
  type WeightFormat,
} from '@rwkv-js/language';
import { stories } from '@rwkv-js/stories';
import { UsageError } from '@rwkv-js/tensor';
import type { Tokenizer } from '@rwkv-js/tokenizer';
import type { WeightFiles, WeightInput } from '@rwkv-js/weights';
import { addressIn, openWeights, type InputOptions } from './open-input.ts';
import { tokenizerFor } from './open-tokenizer.ts';

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
  /** What the matrices are kept in on the device, such as `q8`; as the file has them without it. */
  readonly format?: WeightFormat | undefined;
  /**
   * The model's vocabulary, in any format that `openTokenizer` knows: a path, an address, a Blob, bytes,
   * or a tokenizer. Models with 256 tokens read bytes without one; others then take token ids only.
   */
  readonly vocabulary?: WeightInput | Tokenizer | undefined;
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
 * @param input a path, an address, a Blob, bytes, or the Files of a model in several; the embedded
 * model when it is left out
 * @throws FormatError for a file that is no whole RWKV model, or that a server does not give; UsageError for a path that is not
 * there or a vocabulary of another model; AbortError when the signal asks.
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
  const { vocabulary, format, progress, signal, ...rest } = options;
  await using files = await fetchedFiles([input, vocabulary], options);
  const source = await openWeights(files.instead(input), { signal });
  try {
    const rows = source.tensors.get('emb.weight')?.shape[0] ?? 0;
    const tokenizer = await tokenizerFor(files.instead(vocabulary), rows, { signal });
    const weights = format === undefined ? source : weightsIn(format, source);
    const { fromCache } = files;
    const model = await LanguageModel.load(weights, {
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
      return model;
    } catch (error) {
      await model.dispose();
      throw error;
    }
  } finally {
    await source.close();
  }
}

/** Those of the inputs that have addresses, open and on their way. */
interface FetchedFiles extends AsyncDisposable {
  /** True while any of them comes from a server. */
  readonly fetching: boolean;
  readonly fromCache: boolean;
  /** The file that was opened for an input, or the input. */
  instead<T>(input: T): T | HubFile;
  /** Resolves when all are whole, checked, and in the cache. */
  complete(): Promise<void>;
}

async function fetchedFiles(
  inputs: readonly unknown[],
  { hub, progress, signal }: LoadModelOptions,
): Promise<FetchedFiles> {
  const addresses = inputs.map(addressIn);
  const asked = [...new Set(addresses.filter((address) => address !== undefined))];
  const files = await openAddresses(asked, {
    ...hub,
    signal,
    progress(told) {
      // Of cached files it is the way to the device that is told, which begins at nothing.
      if (told.fromCache) return;
      progress?.(told.totalBytes === undefined ? { ...told, loadedBytes: 0 } : told);
    },
  });
  const complete = Promise.all(files.map((file) => file.complete({ signal })));
  complete.catch(() => {});
  const fetching = files.some((file) => !file.fromCache);
  return {
    fetching,
    fromCache: files.length > 0 && !fetching,
    instead(input) {
      const address = addressIn(input);
      return address === undefined ? input : files[asked.indexOf(address)]!;
    },
    async complete() {
      await complete;
    },
    async [Symbol.asyncDispose]() {
      await Promise.all(files.map((file) => file.close()));
    },
  };
}

/** Without addresses there is no cache to open, nor to warn about. */
function openAddresses(
  addresses: readonly string[],
  options: OpenFilesOptions,
): Promise<readonly HubFile[]> {
  return addresses.length === 0 ? Promise.resolve([]) : openFiles(addresses, options);
}
