import {
  elementCount,
  loadModel,
  openDevice,
  openWeights,
  readConfig,
  stories,
  UsageError,
  vocabularyOf,
  type AdapterFile,
  type Device,
  type LanguageModel,
  type LoadModelProgress,
  type ModelConfig,
  type WeightSource,
} from 'rwkv-js';
import { basename } from 'node:path';
import { formatCount } from './format.ts';
import type { Io } from './io.ts';
import type { AdapterArgument } from './options.ts';
import { showProgress } from './progress.ts';

/** Options of every command that runs a model. */
export interface ModelOptions {
  readonly device: string;
  readonly normEpsilon?: number | undefined;
  readonly vocab?: string | undefined;
  readonly adapter?: readonly AdapterArgument[] | undefined;
  readonly adapterInit?: string | undefined;
}

/** A model of which only the names and sizes were read yet. */
export interface ModelFile {
  /** A path or an address; undefined for the embedded model. */
  readonly path: string | undefined;
  /** What output calls it: `stories (RWKV-7, 6.3M)`. */
  readonly name: string;
  readonly config: ModelConfig;
  /** Whether the file holds the model's vocabulary. */
  readonly hasVocabulary: boolean;
}

/** A model and the device it is on. Leaving it by `await using` gives both back. */
export interface OpenModel extends AsyncDisposable {
  readonly model: LanguageModel;
  readonly device: Device;
}

/** Reads what a model is, so that mistakes are found before it is loaded. */
export async function readModelFile(path: string | undefined, io: Io): Promise<ModelFile> {
  const source = await openWeights(path ?? stories.weights, { signal: io.signal });
  try {
    const config = readConfig(source);
    const size = `RWKV-${config.version}, ${formatCount(parameterCount(source))}`;
    const name = path === undefined ? stories.name : `${basename(path)} (${size})`;
    return { path, name, config, hasVocabulary: source.vocabulary !== undefined };
  } finally {
    await source.close();
  }
}

/** Numbers that the tensors of a file hold. */
export function parameterCount({ tensors }: WeightSource): number {
  return [...tensors.values()].reduce((sum, { shape }) => sum + elementCount(shape), 0);
}

/** @throws UsageError when a model needs a vocabulary to read and write text, and none was given. */
export function checkVocabulary(file: ModelFile, { vocab }: ModelOptions): void {
  const { path, config, hasVocabulary } = file;
  if (path === undefined || hasVocabulary || vocab !== undefined) return;
  if (config.vocabularySize === 256) return;
  throw new UsageError(
    `${path} holds no vocabulary for its ${config.vocabularySize} tokens; give it with --vocab: ` +
      vocabularyOf(config.vocabularySize),
  );
}

export async function openModel(
  { path }: ModelFile,
  modelOptions: ModelOptions,
  io: Io,
): Promise<OpenModel> {
  const { device: deviceName, normEpsilon, vocab } = modelOptions;
  const adapters = adaptersOf(modelOptions);
  const device = await openDevice(deviceName, {
    report: (lines) => void io.stderr.write(`${lines}\n`),
  });
  using bar = showProgress(io.stderr, { doing: 'Loading', unit: 'MB', scale: 1e6 });
  const options = {
    device,
    // A command has one sequence.
    slots: 1,
    groupNormEpsilon: normEpsilon,
    adapters,
    signal: io.signal,
    progress: ({ loadedBytes, totalBytes }: LoadModelProgress) =>
      bar.update(loadedBytes, totalBytes),
    ...(vocab === undefined ? {} : { vocabulary: vocab }),
  };
  try {
    const model = await (path === undefined ? loadModel(options) : loadModel(path, options));
    return {
      model,
      device,
      async [Symbol.asyncDispose]() {
        await model.dispose();
        await device.dispose();
      },
    };
  } catch (error) {
    await device.dispose();
    throw error;
  }
}

/** @throws UsageError when it is not clear which adapter a start file belongs to. */
function adaptersOf({ adapter = [], adapterInit }: ModelOptions): readonly AdapterFile[] {
  if (adapterInit === undefined) return adapter;
  const [only, ...others] = adapter;
  if (only && others.length === 0) return [{ ...only, init: adapterInit }];
  throw new UsageError(
    `--adapter-init was given with ${adapter.length} --adapter options, and it is the start of one; ` +
      'give one --adapter with it',
  );
}
