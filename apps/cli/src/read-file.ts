import { readFile } from 'node:fs/promises';
import { UsageError } from 'rwkv-js';
import { readStdin, reasonOf, type Io } from './io.ts';

/** The bytes of a file that an option names, and what messages call it. */
export interface ReadFile {
  readonly bytes: Uint8Array;
  readonly label: string;
}

/**
 * Reads a whole file.
 *
 * @param path `-` is standard input
 * @throws UsageError when it cannot be read
 */
export async function readWhole(path: string, io: Io): Promise<ReadFile> {
  if (path === '-') return { bytes: await readStdin(io), label: 'standard input' };
  try {
    return { bytes: await readFile(path, { signal: io.signal }), label: path };
  } catch (error) {
    io.signal.throwIfAborted();
    throw new UsageError(`reading ${path}: ${reasonOf(error)}`, { cause: error });
  }
}
