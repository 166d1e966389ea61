/** What the page and the worker say to each other: plain data. */
import type { LoadModelProgress, SamplingOptions } from 'rwkv-js';

/** Where a model comes from. */
export type ModelChoice =
  | { readonly kind: 'stories' }
  /** Files that were dropped on the page. */
  | { readonly kind: 'files'; readonly files: readonly File[]; readonly vocabulary?: File }
  /** A dropped file of an earlier visit, by its name in the browser's storage. */
  | { readonly kind: 'kept'; readonly name: string }
  | {
      readonly kind: 'address';
      readonly address: string;
      readonly vocabulary?: File | string;
      readonly token?: string;
    };

/** `auto` measures which is the fastest. */
export type DeviceChoice = 'auto' | 'webgpu' | 'wasm';

/** A device that is open, in words for people. */
export interface DeviceFacts {
  readonly name: string;
  readonly description: string;
  /** What `auto` found, a line for each device; empty where one was named. */
  readonly report: string;
  /** Why it is another than the one that was asked for. */
  readonly insteadOf?: string;
}

/** A model that is loaded. */
export interface ModelFacts {
  readonly name: string;
  /** Such as `7`. */
  readonly version: string;
  readonly layers: number;
  readonly width: number;
  readonly vocabularySize: number;
  /** What its matrices are kept in, such as `q8`. */
  readonly dtype: string;
  /** Tells its weights from others: states belong to them. */
  readonly fingerprint: string;
  readonly recommended: SamplingOptions;
  readonly parameterBytes: number;
  readonly stateBytes: number;
  readonly device: DeviceFacts;
  /** A problem that does not keep it from running, such as a full disk. */
  readonly warning?: string;
}

/** How far loading is. */
export type LoadProgress = LoadModelProgress;

/** A message as the model reads it. */
export interface PathStep {
  readonly id: string;
  /** Exactly what is read. */
  readonly fed: string;
  /** The tokens of that, for the model with this fingerprint. */
  readonly tokens?: readonly number[] | undefined;
  readonly fingerprint?: string | undefined;
  /** It is a state that was a file: no text stands for it. */
  readonly isState?: boolean | undefined;
}

/** What is to be written. */
export interface WriteRequest {
  /** Names the writing, to stop it. */
  readonly id: string;
  /** Messages from the beginning of the text to the one that is answered. */
  readonly path: readonly PathStep[];
  readonly answer: {
    readonly id: string;
    /** Text that the answer begins with. */
    readonly prefix: string;
    /** Tokens of it that were written before it was interrupted. */
    readonly written: readonly number[];
  };
  readonly sampling: SamplingOptions;
  readonly maxTokens: number;
  readonly seed: number;
  readonly stop: readonly string[];
}

/** What is told while writing goes on. */
export type WriteEvent =
  | { readonly kind: 'reading'; readonly read: number; readonly total: number }
  | {
      readonly kind: 'written';
      readonly text: string;
      readonly tokens: readonly number[];
      /** Milliseconds that these tokens took. */
      readonly milliseconds: number;
      /** Tokens of the whole text so far. */
      readonly position: number;
      /** Bytes on the device: weights and states. */
      readonly deviceBytes: number;
    }
  /** The device was lost or changed; writing goes on from the same state. */
  | { readonly kind: 'moved'; readonly device: DeviceFacts; readonly because?: string };

export interface WriteResult {
  /** The answer with everything that the model has read of it, what stopped it included. */
  readonly fed: string;
  /** The answer without that. */
  readonly text: string;
  readonly tokens: readonly number[];
  readonly finish: 'stop' | 'end' | 'length' | 'stopped';
  readonly fingerprint: string;
  /** Tokens of the messages before it, by their ids. */
  readonly pathTokens: Readonly<Record<string, readonly number[]>>;
}

/** A model that is in the browser's storage. */
export interface StoredModel {
  readonly choice: ModelChoice;
  readonly name: string;
  readonly bytes: number;
}

/** What the browser offers for computing. */
export interface Abilities {
  /** Why there is no WebGPU; undefined where there is an adapter. */
  readonly noWebGpu: string | undefined;
  readonly isolated: boolean;
  readonly processors: number;
}
