import { FormatError, UsageError } from '@rwkv-js/tensor';

/** How a read can be cancelled. */
export interface ReadOptions {
  readonly signal?: AbortSignal | undefined;
}

/** Bytes of known number that can be read from anywhere: a file, an address, memory. */
export interface ByteSource {
  /** What errors call it: a path, an address without its query, a file name. */
  readonly label: string;
  /** Bytes in all. */
  readonly size: number;
  /**
   * `length` bytes from `offset` on, in memory of the caller's own.
   *
   * @throws FormatError when the bytes are not there (any more); UsageError after `close`.
   */
  read(offset: number, length: number, options?: ReadOptions): Promise<Uint8Array<ArrayBuffer>>;
  /** Gives back what is held open. Idempotent. */
  close(): Promise<void>;
}

/** The most bytes that one system call or one request asks for; longer reads are made of several. */
export const pieceBytes = 64 * 1024 * 1024;

/** A part of a longer read: where it lies in the source, and where in the result. */
interface Piece {
  readonly offset: number;
  readonly length: number;
  readonly at: number;
}

/** Cuts a read into pieces of at most {@link pieceBytes}, in order. */
export function* pieces(offset: number, length: number): Generator<Piece> {
  for (let at = 0; at < length; at += pieceBytes) {
    yield { offset: offset + at, length: Math.min(pieceBytes, length - at), at };
  }
}

/** Memory for a read, or a FormatError where the machine cannot hold so much in one piece. */
export function allocate(label: string, length: number): Uint8Array<ArrayBuffer> {
  try {
    return new Uint8Array(length);
  } catch (cause) {
    throw new FormatError(
      `Reading ${label}: ${length} bytes in one piece are more than this machine's JavaScript can hold.`,
      { cause },
    );
  }
}

/** Refuses a range that does not lie in the source, before anything is allocated for it. */
export function checkRange(source: ByteSource, offset: number, length: number): void {
  const whole = Number.isSafeInteger(offset) && Number.isSafeInteger(length);
  if (whole && offset >= 0 && length >= 0 && length <= source.size - offset) return;
  throw new FormatError(
    `Reading ${source.label}: ${length} bytes at ${offset} were asked for, but the file ends at ` +
      `byte ${source.size}; it is cut short or not what its header says.`,
  );
}

/** The error of every read after `close`. */
export function closedError(label: string): UsageError {
  return new UsageError(`Reading ${label}: it has been closed; open it again to read from it.`);
}

/** The error for a source that gave fewer bytes than it said it has. */
export function shortReadError(
  label: string,
  offset: number,
  got: number,
  want: number,
): FormatError {
  return new FormatError(
    `Reading ${label}: ${want} bytes at ${offset} were asked for and ${got} came; ` +
      `the file was cut or changed while it was read, open it again.`,
  );
}
