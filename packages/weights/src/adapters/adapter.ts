import type { Shape, WeightSource } from '@rwkv-js/tensor';

/** How reading is cancelled. */
export interface ReadHow {
  readonly signal?: AbortSignal | undefined;
}

/** What an adapter does to one matrix of a model. */
export interface MatrixChange {
  /** Completes "…, and the adapter is for …"; undefined for a matrix [out, in] that it fits. */
  misfit(shape: Shape): string | undefined;
  /** Adds it to the elements of the matrix [out, in], row-major, in place. */
  addTo(weights: Float32Array, shape: Shape, how: ReadHow): Promise<void>;
  /** The same as a product of two matrices; undefined where it is none, since it depends on the weights. */
  readonly lowRank: LowRank | undefined;
}

/** A change W + up · down. */
export interface LowRank {
  readonly rank: number;
  /** down [rank, in] and up [out, rank], row-major; scaled. */
  factors(
    shape: Shape,
    how: ReadHow,
  ): Promise<{ readonly down: Float32Array; readonly up: Float32Array }>;
}

/** The changes that one kind of adapter makes, by the official name of the matrix. */
export type MatrixChanges = ReadonlyMap<string, MatrixChange>;

/**
 * What a fine-tuning changes in a model, read from its file one tensor at a time. `openAdapter` makes
 * one, `mergeAdapter` puts it into a model's weights.
 */
export interface Adapter {
  /** What errors call it. */
  readonly label: string;
  /** What it is made of: `LoRA`, `PiSSA`, `DiSHA`, `tuned state`, `whole tensors`. */
  readonly kinds: readonly string[];
  readonly matrices: MatrixChanges;
  /** Tensors that stand in the place of the model's own, and tuned states (`time_state`). */
  readonly whole: WeightSource;
  /** Closes its files. Idempotent. */
  close(): Promise<void>;
}
