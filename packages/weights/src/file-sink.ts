import { UsageError } from '@rwkv-js/tensor';
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
  if (!hasPaths()) {
    throw new UsageError(`Writing ${path}: paths can be written under Node only.`);
  }
  const { open, rename, rm } = await import('node:fs/promises');
  const { randomUUID } = await import('node:crypto');
  const target = await fileTarget(path);
  const temporary = `${target}.${randomUUID().slice(0, 8)}.partial`;
  const handle = await open(temporary, 'wx').catch((cause: unknown) => {
    throw failed('the file cannot be made', cause);
  });
  let dropped = false;

  async function abort(): Promise<void> {
    if (dropped) return;
    dropped = true;
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
      throw failed('the disk did not take the bytes', cause);
    }
  }

  function failed(what: string, cause: unknown): UsageError {
    return new UsageError(`Writing ${path}: ${what} (${reasonOf(cause)}).`, { cause });
  }

  return {
    async write(position, bytes) {
      for (let at = 0; at < bytes.length;) {
        at += await writeAt(bytes, at, position + at);
      }
    },
    async close() {
      try {
        // The name must not point at bytes that a power cut can still lose.
        await handle.sync();
        await handle.close();
        await rename(temporary, target);
      } catch (cause) {
        await abort();
        throw failed('the file cannot be put in place', cause);
      }
    },
    abort,
  };
}
