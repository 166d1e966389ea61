import { FormatError, UsageError } from '@rwkv-js/tensor';
import {
  allocate,
  checkRange,
  closedError,
  pieces,
  shortReadError,
  type ByteSource,
} from './byte-source.ts';
import { codeOf, hasPaths, reasonOf } from './node-errors.ts';

/**
 * A source over a file on disk. Node only: elsewhere paths mean nothing, and that is the error.
 *
 * @throws UsageError when there is no such file, or it is no regular file, or may not be read.
 */
export async function pathSource(path: string): Promise<ByteSource> {
  if (!hasPaths()) {
    throw new UsageError(
      `Opening ${path}: paths can be read under Node only; in a page give a URL, a File or the bytes.`,
    );
  }
  const { open } = await import('node:fs/promises');
  const handle = await open(path, 'r').catch((cause: unknown) => {
    throw openingError(path, cause);
  });
  const close = () => handle.close();
  try {
    const stat = await handle.stat();
    if (!stat.isFile()) {
      const what = stat.isDirectory() ? 'a folder' : 'not a regular file';
      throw new UsageError(`Opening ${path}: it is ${what}; give the path of a weight file.`);
    }
    return fileSource(path, stat.size, handle);
  } catch (error) {
    await close();
    throw error;
  }
}

type FileHandle = Awaited<ReturnType<(typeof import('node:fs/promises'))['open']>>;

function fileSource(label: string, size: number, handle: FileHandle): ByteSource {
  let closing: Promise<void> | undefined;
  return {
    label,
    size,
    async read(offset, length, { signal } = {}) {
      signal?.throwIfAborted();
      if (closing) throw closedError(label);
      checkRange(this, offset, length);
      const result = allocate(label, length);
      for (const piece of pieces(offset, length)) {
        let got = 0;
        // One call may give less than it was asked for without being at the end.
        while (got < piece.length) {
          const from = piece.offset + got;
          const bytesRead = await readAt(result, piece.at + got, piece.length - got, from);
          signal?.throwIfAborted();
          if (bytesRead === 0) throw shortReadError(label, piece.offset, got, piece.length);
          got += bytesRead;
        }
      }
      await checkUnchanged();
      return result;
    },
    close() {
      return (closing ??= handle.close());
    },
  };

  async function readAt(into: Uint8Array, at: number, length: number, from: number) {
    if (closing) throw closedError(label);
    try {
      return (await handle.read(into, at, length, from)).bytesRead;
    } catch (cause) {
      throw readingError(label, cause);
    }
  }

  async function checkUnchanged(): Promise<void> {
    if (closing) throw closedError(label);
    const now = await handle.stat().catch((cause: unknown) => {
      throw readingError(label, cause);
    });
    if (now.size !== size) {
      throw new FormatError(
        `Reading ${label}: it had ${size} bytes when it was opened and has ${now.size} now; ` +
          `something writes to it, open it again when that is done.`,
      );
    }
  }
}

function readingError(label: string, cause: unknown): FormatError {
  return new FormatError(`Reading ${label}: the disk answered ${reasonOf(cause)}.`, { cause });
}

function openingError(path: string, cause: unknown): UsageError {
  const code = codeOf(cause);
  if (code === 'ENOENT' || code === 'ENOTDIR') {
    return new UsageError(`Opening ${path}: there is no such file; check the path.`, { cause });
  }
  if (code === 'EACCES' || code === 'EPERM') {
    return new UsageError(`Opening ${path}: this user may not read it.`, { cause });
  }
  return new UsageError(`Opening ${path}: it cannot be opened (${reasonOf(cause)}).`, { cause });
}
