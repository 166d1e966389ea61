import { sha256 } from './sha256.ts';
import type { StoredData } from './storage.ts';

/** The SHA-256 of data that is still being written, from its beginning on. */
export interface RunningSum {
  /** Takes the bytes that follow, up to `end`; all of them must be there. */
  add(end: number, signal: AbortSignal): Promise<void>;
  /** The sum of what was taken, as 64 hexadecimal digits. */
  digest(): Promise<string>;
  /** Idempotent. */
  close(): Promise<void>;
}

const step = 512 * 1024;

/** Taken on this thread, of what `read` gives. */
export async function sumHere(read: StoredData['read']): Promise<RunningSum> {
  const hash = await sha256();
  const buffer = new Uint8Array(step);
  let position = 0;
  return {
    async add(end, signal) {
      while (position < end) {
        const bytes = await read(position, Math.min(step, end - position), buffer);
        signal.throwIfAborted();
        hash.update(bytes);
        position += bytes.length;
      }
    },
    digest: async () => hash.digest(),
    close: async () => {},
  };
}
