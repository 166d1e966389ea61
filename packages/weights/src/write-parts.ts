import { FormatError } from '@rwkv-js/tensor';
import type { ReadOptions } from './byte-source.ts';
import { fileSink, resumableSink, type FileSink, type ResumableSink } from './file-sink.ts';
import { quote } from './quote.ts';

/** How far writing is. */
interface WriteProgress {
  readonly writtenBytes: number;
  readonly totalBytes: number;
  /** Bytes that an earlier run had written, and that this one did not write again. */
  readonly resumedBytes: number;
}

export interface WriteOptions extends ReadOptions {
  /**
   * What the bytes are made from, such as the input's path, size and date and the settings: a run that
   * was interrupted goes on where one with the same text stopped. Without it every run begins anew.
   */
  readonly origin?: string | undefined;
  readonly progress?: ((progress: WriteProgress) => void) | undefined;
}

/** Where everything goes in a file that is to be written. */
export interface FileLayout {
  /** The first bytes of the file. */
  readonly header: Uint8Array;
  /** First byte and number of bytes of every tensor, in the file. */
  readonly ranges: ReadonlyMap<string, { readonly offset: number; readonly length: number }>;
  /** Bytes of the whole file. */
  readonly size: number;
}

/**
 * Writes a file tensor by tensor, in the order they lie in: no more than one is in memory. It appears
 * under its path only when it is whole. When the signal aborts, or the process dies, what is done stays
 * in a `.partial` file beside it for the next run with the same `origin`. Node only.
 *
 * @param make gives the bytes of a tensor
 * @throws UsageError when the path cannot be written; FormatError for bytes that are not as many as was
 * said; AbortError; what `make` throws.
 */
export async function writeParts(
  path: string,
  { header, ranges, size }: FileLayout,
  make: (name: string) => Promise<Uint8Array>,
  { origin, progress, signal }: WriteOptions,
): Promise<void> {
  signal?.throwIfAborted();
  const sink: ResumableSink =
    origin === undefined
      ? unresumable(await fileSink(path))
      : await resumableSink(path, header, origin);
  try {
    // What lies at the end may be torn: the last tensor that seems to be there is written again.
    const places = [...ranges].toSorted(([, a], [, b]) => a.offset - b.offset);
    const whole = places.filter(([, { offset, length }]) => offset + length <= sink.resumedBytes);
    const done = Math.max(0, whole.length - 1);
    const resumedBytes = done > 0 ? places[done]![1].offset : 0;
    let writtenBytes = Math.max(resumedBytes, header.length);
    if (done === 0) await sink.write(0, header);
    progress?.({ writtenBytes, totalBytes: size, resumedBytes });
    for (const [name, { offset, length }] of places.slice(done)) {
      signal?.throwIfAborted();
      const bytes = await make(name);
      if (bytes.byteLength !== length) {
        throw new FormatError(
          `Writing ${path}: tensor ${quote(name)} gave ${bytes.byteLength} bytes and should have ` +
            `${length}; what it is read from is damaged.`,
        );
      }
      await sink.write(offset, bytes);
      writtenBytes += length;
      progress?.({ writtenBytes, totalBytes: size, resumedBytes });
    }
    signal?.throwIfAborted();
    await sink.close();
  } catch (error) {
    if (signal?.aborted) await sink.leave();
    else await sink.abort();
    throw error;
  }
}

/** A sink that nobody finds again: leaving it drops it. */
function unresumable(sink: FileSink): ResumableSink {
  return { ...sink, resumedBytes: 0, leave: () => sink.abort() };
}
