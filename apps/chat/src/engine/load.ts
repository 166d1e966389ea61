import {
  dtypeName,
  loadModel,
  openTokenizer,
  openWeights,
  readState,
  stories,
  tokenizerFor,
  UsageError,
  vocabularyOf,
  type Device,
  type HubOptions,
  type LanguageModel,
  type OpenedWeights,
  type Tokenizer,
  type WeightFiles,
  type WeightInput,
} from 'rwkv-js';
import * as keptFiles from './kept-files.ts';
import type { LoadProgress, ModelChoice } from './protocol.ts';
import { recall } from './vocabularies.ts';

/** The model needs a vocabulary, and neither its file nor the user gave one. */
class NeedsVocabulary extends Error {
  override readonly name = 'NeedsVocabulary';
}

/** The file is a saved state and no model. */
class StateFile extends Error {
  override readonly name = 'StateFile';
}

export interface Loaded {
  readonly model: LanguageModel;
  readonly name: string;
  readonly dtype: string;
}

export interface LoadOptions {
  readonly device: Device;
  readonly hub: HubOptions;
  readonly progress: (progress: LoadProgress) => void;
  readonly signal: AbortSignal;
}

/**
 * Loads the model of a choice.
 *
 * @throws NeedsVocabulary, before anything is loaded, when its text could not be read; what `loadModel`
 * throws.
 */
export async function load(choice: ModelChoice, options: LoadOptions): Promise<Loaded> {
  const { device, progress, signal } = options;
  const hub: HubOptions = {
    ...options.hub,
    ...(choice.kind === 'address' && choice.token ? { token: choice.token } : {}),
  };
  // Columns that write at once; more than that take turns.
  const common = { device, hub, progress, signal, slots: 4 };
  if (choice.kind === 'stories') {
    return { model: await loadModel(common), name: 'Stories', dtype: 'q8' };
  }
  const { input, vocabulary, name } = await inputsOf(choice);
  const { tokenizer, dtype } = await lookInto(input, { vocabulary, name, hub, signal });
  const model = await loadModel(input, { ...common, vocabulary: tokenizer });
  return { model, name, dtype };
}

/** What is known before anything is loaded. The file is closed again: one at a time may fetch it. */
async function lookInto(
  input: WeightInput | WeightFiles,
  { vocabulary, name, hub, signal }: LookOptions,
): Promise<{ tokenizer: Tokenizer; dtype: string }> {
  const opened = await openWeights(input, { hub, signal });
  try {
    if (opened.metadata.has('rwkv_state_version')) {
      throw new StateFile(
        `${name} is a saved state and no model; load its model first, then load the state.`,
      );
    }
    const dtype = dtypeOf(opened);
    if (vocabulary !== undefined) {
      return { tokenizer: await openTokenizer(vocabulary, { hub, signal }), dtype };
    }
    const rows = opened.tensors.get('emb.weight')?.shape[0];
    if (rows === undefined) {
      throw new UsageError(
        `${name} holds no language model: it has no tensor emb.weight; open the model's own file.`,
      );
    }
    const tokenizer = await tokenizerFor(opened, rows, { signal });
    if (tokenizer) return { tokenizer, dtype };
    throw new NeedsVocabulary(
      `${name} has weights and no vocabulary, which says what its ${rows} tokens mean. ` +
        `Add the vocabulary that belongs to it: ${vocabularyOf(rows)}.`,
    );
  } finally {
    await opened.close();
  }
}

interface LookOptions {
  readonly vocabulary: File | string | undefined;
  readonly name: string;
  readonly hub: HubOptions;
  readonly signal: AbortSignal;
}

async function inputsOf(choice: Exclude<ModelChoice, { kind: 'stories' }>) {
  switch (choice.kind) {
    case 'files': {
      const { files, vocabulary } = choice;
      const input = files.length === 1 ? files[0]! : files;
      return { input, vocabulary, name: files[0]?.name ?? 'nothing' };
    }
    case 'kept': {
      const { model, vocabulary } = await keptFiles.open(choice.name);
      return { input: model, vocabulary, name: choice.name };
    }
    case 'address': {
      const { address } = choice;
      const vocabulary = choice.vocabulary ?? (await recall(address));
      return { input: address, vocabulary, name: address.slice(address.lastIndexOf('/') + 1) };
    }
  }
}

function dtypeOf(opened: OpenedWeights): string {
  const entry = opened.tensors.get('blocks.0.att.key.weight');
  if (!entry) return '';
  if (entry.blocks) return entry.blocks.name === 'Q4_0' ? 'q4' : 'q8';
  return dtypeName(entry.dtype);
}

/** Reads a state file for a model. @throws as `readState` does. */
export const loadState = (file: Blob, model: LanguageModel) => readState(file, { model });

/** The settings that the makers of the embedded model recommend; others have none. */
export const recommendedOf = (choice: ModelChoice) =>
  choice.kind === 'stories' ? stories.recommended : {};
