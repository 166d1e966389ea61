import type { DType } from './dtype.ts';
import type { Shape } from './spec.ts';

/** What a source says of one of its tensors without reading it. */
export interface WeightEntry {
  readonly dtype: DType;
  readonly shape: Shape;
}

/**
 * Named tensors that are read one at a time: a file, a set of files, or numbers made on the spot.
 * Models take this type and never know a file format.
 */
export interface WeightSource {
  /** What errors and progress call it: a file name, an address, `random numbers`. */
  readonly label: string;
  /** Every tensor by name, in the order of the source. */
  readonly tensors: ReadonlyMap<string, WeightEntry>;
  /** Free text that came with the tensors, such as the metadata of a safetensors file. */
  readonly metadata: ReadonlyMap<string, string>;
  /**
   * The bytes of one tensor, in the dtype of its entry: row-major and little-endian, or the planes of a
   * packed dtype as packed.ts says. The caller owns them.
   *
   * @throws UsageError when there is no tensor of that name; FormatError when the bytes cannot be read.
   */
  read(name: string, options?: { readonly signal?: AbortSignal | undefined }): Promise<Uint8Array>;
  /** Gives back what the source holds open. Reading afterwards is a UsageError. Idempotent. */
  close(): Promise<void>;
}
