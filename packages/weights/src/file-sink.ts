import { UsageError } from '@rwkv-js/tensor';
import type { FileHandle } from 'node:fs/promises';
import { fileTarget } from './file-target.ts';
import { hasPaths, reasonOf } from './node-errors.ts';

/** Something that bytes are written to, at places of the writer's choice. */
export interface FileSink {
  write(position: number, bytes: Uint8Array): Promise<void>;
  /** Finishes: what was written becomes the file. */
  close(): Promise<void>;
  /** Drops what was written. */
  abort(): Promise<void>;
}

/**
 * A sink that writes under a temporary name in the same folder and renames at `close`, so that
 * nobody ever sees half a file under the path. A symbolic link stays, and what it leads to is
 * replaced. Node only.
 *
 * @throws UsageError when the path cannot be written, as {@link fileTarget} says.
 */
export async function fileSink(path: string): Promise<FileSink> {
  checkPaths(path);
  const { randomUUID } = await import('node:crypto');
  const target = await fileTarget(path);
  const temporary = `${target}.${randomUUID().slice(0, 8)}.partial`;
  return temporarySink(path, target, temporary, await openTemporary(path, temporary, 'wx'));
}

/** A file in the making that a later run may go on with. */
export interface ResumableSink extends FileSink {
  /** Bytes that an earlier run left, from the beginning of the file; 0 when there are none. */
  readonly resumedBytes: number;
  /** Stops here and leaves what was written for a later run. */
  leave(): Promise<void>;
}

/**
 * A sink as {@link fileSink} whose temporary file is named after `origin`, so that a run that makes the
 * same bytes finds it. What another run left is taken when it begins with `header`; two runs at once
 * write the same bytes to the same places. Node only.
 *
 * @param header the first bytes of the file
 * @param origin what the bytes are made from
 * @throws UsageError when the path cannot be written.
 */
export async function resumableSink(
  path: string,
  header: Uint8Array,
  origin: string,
): Promise<ResumableSink> {
  checkPaths(path);
  const { createHash } = await import('node:crypto');
  const { constants } = await import('node:fs');
  const target = await fileTarget(path);
  const key = createHash('sha256').update(origin).digest('hex').slice(0, 8);
  const temporary = `${target}.${key}.partial`;
  const handle = await openTemporary(path, temporary, constants.O_RDWR | constants.O_CREAT);
  const resumedBytes = await bytesToKeep(handle, header);
  if (resumedBytes === 0) await handle.truncate(0);
  return {
    ...temporarySink(path, target, temporary, handle),
    resumedBytes,
    async leave() {
      await handle.sync();
      await handle.close();
    },
  };
}

/** Bytes of a file that begins with the header; 0 for one that does not. */
async function bytesToKeep(handle: FileHandle, header: Uint8Array): Promise<number> {
  const head = new Uint8Array(header.length);
  const { bytesRead } = await handle.read(head, 0, head.length, 0);
  const same = bytesRead === header.length && head.every((byte, i) => byte === header[i]);
  return same ? (await handle.stat()).size : 0;
}

/** A sink over an open temporary file. */
function temporarySink(
  path: string,
  target: string,
  temporary: string,
  handle: FileHandle,
): FileSink {
  let dropped = false;

  async function abort(): Promise<void> {
    if (dropped) return;
    dropped = true;
    const { rm } = await import('node:fs/promises');
    try {
      await handle.close();
    } finally {
      await rm(temporary, { force: true });
    }
  }

  async function writeAt(bytes: Uint8Array, at: number, position: number): Promise<number> {
    try {
      return (await handle.write(bytes, at, bytes.length - at, position)).bytesWritten;
    } catch (cause) {
      throw failed(path, 'the disk did not take the bytes', cause);
    }
  }

  return {
    async write(position, bytes) {
      for (let at = 0; at < bytes.length;) {
        at += await writeAt(bytes, at, position + at);
      }
    },
    async close() {
      const { rename } = await import('node:fs/promises');
      try {
        // The name must not point at bytes that a power cut can still lose.
        await handle.sync();
        await handle.close();
        await rename(temporary, target);
      } catch (cause) {
        await abort();
        throw failed(path, 'the file cannot be put in place', cause);
      }
    },
    abort,
  };
}

async function openTemporary(
  path: string,
  temporary: string,
  flags: string | number,
): Promise<FileHandle> {
  const { open } = await import('node:fs/promises');
  try {
    return await open(temporary, flags);
  } catch (cause) {
    throw failed(path, 'the file cannot be made', cause);
  }
}

function failed(path: string, what: string, cause: unknown): UsageError {
  return new UsageError(`Writing ${path}: ${what} (${reasonOf(cause)}).`, { cause });
}

/** @throws UsageError where there are no paths. */
function checkPaths(path: string): void {
  if (hasPaths()) return;
  throw new UsageError(`Writing ${path}: paths can be written under Node only.`);
}
