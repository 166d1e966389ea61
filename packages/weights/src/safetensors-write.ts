import { UsageError } from '@rwkv-js/tensor';
import { fileSink, type FileSink } from './file-sink.ts';
import { nearNames } from './near-names.ts';
import { quote } from './quote.ts';
import { layoutSafetensors, type TensorToWrite } from './safetensors-layout.ts';

/** What a writer can be told beside its tensors. */
export interface SafetensorsOptions {
  /** Free text for the header's `__metadata__`. */
  readonly metadata?: ReadonlyMap<string, string> | undefined;
  readonly signal?: AbortSignal | undefined;
}

/** A safetensors file in the making. Leaving it by `await using` or `abort` leaves no file behind. */
export interface SafetensorsWriter extends AsyncDisposable {
  /**
   * Appends bytes (row-major, little-endian) to a tensor. Tensors may be written in any order, in
   * turns, and each in chunks of any length. The bytes may be reused once the promise is fulfilled.
   *
   * @throws UsageError for an unknown name, or more bytes than the tensor takes.
   */
  write(name: string, bytes: ArrayBufferView): Promise<void>;
  /**
   * Finishes the file and puts it in its place.
   *
   * @throws UsageError when a tensor is incomplete; the file is then dropped as by `abort`.
   */
  close(): Promise<void>;
  /** Drops what was written. Idempotent, and harmless after `close`. */
  abort(): Promise<void>;
}

/** A tensor with its bytes, for writing files that fit into memory. */
export interface TensorWithData extends TensorToWrite {
  /** Row-major, little-endian. */
  readonly data: ArrayBufferView;
}

/**
 * Begins a safetensors file whose tensors are known and whose bytes are still to come. A path is
 * written under a temporary name beside it and appears only when whole; Node only. Elsewhere
 * give a sink.
 *
 * @throws UsageError for names or shapes that the format cannot hold, or a path that cannot be written.
 */
export async function writeSafetensors(
  target: string | FileSink,
  tensors: readonly TensorToWrite[],
  { metadata = new Map(), signal }: SafetensorsOptions = {},
): Promise<SafetensorsWriter> {
  signal?.throwIfAborted();
  const { header, ranges } = layoutSafetensors(tensors, metadata);
  const sink = typeof target === 'string' ? await fileSink(target) : target;
  const label = typeof target === 'string' ? target : 'safetensors';
  const written = new Map(Array.from(ranges.keys(), (name) => [name, 0]));
  let state: 'open' | 'closed' | 'aborted' = 'open';
  // One write after another; when one fails, so do those behind it, and the close.
  let last: Promise<void> = Promise.resolve();

  async function abort(): Promise<void> {
    if (state !== 'open') return;
    state = 'aborted';
    await last.catch(() => {});
    await sink.abort();
  }

  async function write(name: string, bytes: ArrayBufferView): Promise<void> {
    checkOpen();
    const range = ranges.get(name);
    const before = written.get(name);
    if (!range || before === undefined) {
      const near = nearNames(name, ranges.keys()).map(quote).join(', ');
      throw new UsageError(
        `Writing ${label}: no tensor ${quote(name)} was announced${near && `; near are ${near}`}.`,
      );
    }
    if (bytes.byteLength > range.length - before) {
      throw new UsageError(
        `Writing ${label}: tensor ${quote(name)} takes ${range.length} bytes, and ` +
          `${before + bytes.byteLength} were given.`,
      );
    }
    // Counted before waiting, so that the next chunk may be queued behind this one.
    written.set(name, before + bytes.byteLength);
    const view = new Uint8Array(bytes.buffer, bytes.byteOffset, bytes.byteLength);
    last = last.then(() => sink.write(range.offset + before, view));
    await last;
  }

  async function close(): Promise<void> {
    checkOpen();
    for (const [name, { length }] of ranges) {
      const have = written.get(name);
      if (have === length) continue;
      await abort();
      throw new UsageError(
        `Writing ${label}: tensor ${quote(name)} takes ${length} bytes, and ${have} were given; ` +
          `the file was dropped.`,
      );
    }
    try {
      await last;
    } catch (error) {
      await abort();
      throw error;
    }
    state = 'closed';
    await sink.close();
  }

  function checkOpen(): void {
    signal?.throwIfAborted();
    if (state !== 'open') throw new UsageError(`Writing ${label}: the writer is ${state}.`);
  }

  try {
    await sink.write(0, header);
  } catch (error) {
    await abort();
    throw error;
  }
  return { write, close, abort, [Symbol.asyncDispose]: abort };
}

/**
 * A whole safetensors file in memory.
 *
 * @throws UsageError as {@link writeSafetensors}, and for data that does not fit its shape.
 */
export function encodeSafetensors(
  tensors: readonly TensorWithData[],
  metadata: ReadonlyMap<string, string> = new Map(),
): Uint8Array {
  const { header, ranges, size } = layoutSafetensors(tensors, metadata);
  const file = new Uint8Array(size);
  file.set(header);
  for (const { name, data } of tensors) {
    const range = ranges.get(name);
    if (!range || data.byteLength !== range.length) {
      throw new UsageError(
        `Writing safetensors: tensor ${quote(name)} takes ${range?.length} bytes, and ` +
          `${data.byteLength} were given.`,
      );
    }
    file.set(new Uint8Array(data.buffer, data.byteOffset, data.byteLength), range.offset);
  }
  return file;
}
