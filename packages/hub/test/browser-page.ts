/** What the tests of a page call in it. */
import { download, openCache, openFiles, type HubOptions, type HubProgress } from '../src/index.ts';

/** What happened, as plain data. */
export interface Outcome {
  readonly kind: string;
  readonly place: string;
  readonly warnings: readonly string[];
  readonly progress: readonly HubProgress[];
  /** The sha256 of the file. */
  readonly sum?: string;
  readonly error?: { readonly name: string; readonly message: string };
}

/** Fetches an address. */
export async function load(
  address: string,
  {
    abortAt = Infinity,
    ...options
  }: Omit<HubOptions, 'cache' | 'fetch' | 'warn'> & { abortAt?: number } = {},
): Promise<Outcome> {
  const warnings: string[] = [];
  const warn = (message: string): void => void warnings.push(message);
  const progress: HubProgress[] = [];
  const controller = new AbortController();
  const cache = await openCache({ warn });
  const { kind, place } = cache;
  const about = { kind, place, warnings, progress };
  try {
    const [file] = await download([address], {
      ...options,
      cache,
      signal: controller.signal,
      progress(one) {
        progress.push(one);
        if (one.loadedBytes >= abortAt) controller.abort();
      },
    });
    return { ...about, sum: file!.sha256 };
  } catch (error) {
    const { name, message } = error as Error;
    return { ...about, error: { name, message } };
  }
}

/** Reads some bytes of an address before the rest of it is there. */
export async function readFirst(
  address: string,
  position: number,
  length: number,
): Promise<number[]> {
  const cache = await openCache();
  const [file] = await openFiles([address], { cache });
  const bytes = await file!.read(position, length);
  await file!.complete();
  await file!.close();
  return Array.from(bytes);
}

export async function list(): Promise<readonly unknown[]> {
  return (await openCache()).list();
}

export async function remove(address: string): Promise<number> {
  return (await openCache()).delete(address);
}

/** Changes the first piece of every cached file behind the cache's back. */
export async function damage(): Promise<number> {
  let damaged = 0;
  const root = await (await navigator.storage.getDirectory()).getDirectoryHandle('rwkv-js');
  for await (const entry of root.values()) {
    if (entry.kind !== 'directory') continue;
    for await (const data of (entry as FileSystemDirectoryHandle).values()) {
      if (data.kind !== 'directory') continue;
      for await (const piece of (data as FileSystemDirectoryHandle).values()) {
        const writable = await (piece as FileSystemFileHandle).createWritable({
          keepExistingData: true,
        });
        await writable.write({ type: 'write', position: 5, data: new Uint8Array([1, 2, 3]) });
        await writable.close();
        damaged++;
        break;
      }
    }
  }
  return damaged;
}

/** Makes the page one whose browser refuses the file system, as some private windows do. */
export function refuseStorage(): void {
  navigator.storage.getDirectory = () =>
    Promise.reject(new DOMException('The request is not allowed', 'SecurityError'));
}
