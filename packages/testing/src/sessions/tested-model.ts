import type { Device, WeightSource } from '@rwkv-js/tensor';
import type { letters } from '../letters.ts';

/** A state that a session saved, as far as it is looked into here. */
export interface SavedState {
  readonly tokenCount: number;
  readonly tensors: ReadonlyMap<string, Float32Array>;
  readonly pending?: number;
  readonly logits?: Float32Array;
}

export interface WriteOptions {
  readonly prompt?: readonly number[] | undefined;
  readonly maxTokens: number;
  readonly seed: number;
  readonly temperature: number;
  readonly presencePenalty: number;
  readonly stop: readonly string[];
  readonly stopTokens: readonly number[];
  readonly signal?: AbortSignal | undefined;
}

interface TestedGeneration extends AsyncIterable<string> {
  readonly tokens: readonly number[];
  readonly finishReason: string | undefined;
}

/** What a session offers of itself to `SessionActions`. */
export interface TestedSession<State extends SavedState> {
  feed(tokens: readonly number[], options?: { readonly signal?: AbortSignal }): Promise<void>;
  generate(options: WriteOptions): TestedGeneration;
  logits(): Promise<Float32Array>;
  score(tokens: readonly number[]): Promise<Float32Array>;
  save(): Promise<State>;
  restore(state: State): Promise<void>;
  fork(): Promise<TestedSession<State>>;
  dispose(): Promise<void>;
}

/** What a language model offers of itself to `SessionActions`. */
export interface TestedModel<State extends SavedState> {
  session(): TestedSession<State>;
  dispose(): Promise<void>;
}

/** Loads a language model: `LanguageModel.load`. */
export type LoadModel<State extends SavedState> = (
  source: WeightSource,
  options: { readonly device: Device; readonly slots: number; readonly tokenizer: typeof letters },
) => Promise<TestedModel<State>>;
