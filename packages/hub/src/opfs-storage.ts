import { UsageError } from '@rwkv-js/tensor';
import { ByteRanges } from './byte-ranges.ts';
import { wait } from './patience.ts';
import type { Lock, Storage, WritableData } from './storage.ts';

const lookEvery = 200;

/**
 * Storage in the origin's private file system. Writing into a file there copies all of it first, so data
 * is a folder of pieces, each a file that is written once and named by its place: `1048576-2097152`.
 *
 * @throws UsageError where there is no such file system: without https, in some private windows, in
 * browsers that cannot write to it from a page.
 */
export async function opfsStorage(): Promise<Storage> {
  const root = await rootFolder();
  const folder = (key: string) => unlessAbsent(root.getDirectoryHandle(key));
  const made = (key: string) => root.getDirectoryHandle(key, { create: true });

  return {
    kind: 'OPFS',
    place: "the page's private file system",
    pieceBytes: 4 * 1024 * 1024,
    async keys() {
      const keys: string[] = [];
      for await (const [name, handle] of root) if (handle.kind === 'directory') keys.push(name);
      return keys;
    },
    async names(key) {
      const sizes = new Map<string, number>();
      for await (const [name, handle] of (await folder(key)) ?? []) {
        if (isFile(handle)) {
          // Another tab, or a write that ends, may take a file away while the folder is listed.
          const file = await unlessAbsent(handle.getFile());
          if (file) sizes.set(name, file.size);
        }
        if (isFolder(handle)) sizes.set(name, total(await piecesIn(handle)));
      }
      return sizes;
    },
    async readText(key, name) {
      const handle = await unlessAbsent((await folder(key))?.getFileHandle(name));
      const file = handle && (await unlessAbsent(handle.getFile()));
      return file && (await file.text());
    },
    async writeText(key, name, text) {
      const handle = await (await made(key)).getFileHandle(name, { create: true });
      await replace(handle, new TextEncoder().encode(text));
    },
    async openData(key, name) {
      const handle = await unlessAbsent((await folder(key))?.getDirectoryHandle(name));
      return handle && new PiecedData(handle, await piecesIn(handle));
    },
    async stored(key, name) {
      const handle = await unlessAbsent((await folder(key))?.getDirectoryHandle(name));
      return new ByteRanges(handle && (await piecesIn(handle)));
    },
    async writeData(key, name, kept) {
      const handle = await (await made(key)).getDirectoryHandle(name, { create: true });
      return new PiecedData(handle, await keep(handle, kept));
    },
    // Folders cannot be renamed everywhere, and nobody but the cache sees their names.
    nameData: async (_, from) => from,
    async stamp(key, name) {
      const handle = await unlessAbsent((await folder(key))?.getDirectoryHandle(name));
      if (!handle) return undefined;
      let bytes = 0;
      let latest = 0;
      for (const piece of await piecesIn(handle)) {
        const file = await (await handle.getFileHandle(nameOf(piece))).getFile();
        bytes += file.size;
        latest = Math.max(latest, file.lastModified);
      }
      return `${bytes} bytes of ${latest}`;
    },
    path: () => undefined,
    async remove(key, name) {
      const from = name === undefined ? root : await folder(key);
      await unlessAbsent(from?.removeEntry(name ?? key, { recursive: true }));
    },
    boot: async () => 'OPFS',
    async free() {
      const { quota, usage } = await navigator.storage.estimate();
      return quota === undefined ? undefined : Math.max(0, quota - (usage ?? 0));
    },
    async lock(key, signal, waiting, name) {
      const all = name === undefined ? key : `${key}/${name}`;
      for (;;) {
        signal.throwIfAborted();
        const lock = await tryLock(`rwkv-js cache ${all}`);
        if (lock) return lock;
        await waiting();
        await wait(lookEvery, signal);
      }
    },
  };
}

async function rootFolder(): Promise<FileSystemDirectoryHandle> {
  if (!globalThis.navigator?.storage?.getDirectory || !navigator.locks) {
    throw new UsageError('the page has no private file system; serve it over https.');
  }
  if (!('createWritable' in FileSystemFileHandle.prototype)) {
    throw new UsageError('this browser cannot write to its private file system from here.');
  }
  try {
    const root = await navigator.storage.getDirectory();
    return await root.getDirectoryHandle('rwkv-js', { create: true });
  } catch (cause) {
    throw new UsageError('the browser refuses a private file system; is the window private?', {
      cause,
    });
  }
}

/** Undefined when another tab, or another load of this one, holds it. */
function tryLock(name: string): Promise<Lock | undefined> {
  return new Promise((resolve, reject) => {
    navigator.locks
      .request(name, { ifAvailable: true }, (granted) => {
        if (!granted) return resolve(undefined);
        return new Promise<void>((release) => {
          resolve({ release: async () => release() });
        });
      })
      .catch(reject);
  });
}

interface PieceName {
  readonly start: number;
  readonly end: number;
}

const nameOf = ({ start, end }: PieceName): string => `${start}-${end}`;
const total = (pieces: readonly PieceName[]): number =>
  pieces.reduce((sum, { start, end }) => sum + end - start, 0);

/** The whole pieces: one that could not be written is there, and empty. */
async function piecesIn(folder: FileSystemDirectoryHandle): Promise<PieceName[]> {
  const pieces: PieceName[] = [];
  for await (const [name, handle] of folder) {
    const [, start, end] = /^(\d+)-(\d+)$/.exec(name) ?? [];
    if (start === undefined || !isFile(handle)) continue;
    const piece = { start: Number(start), end: Number(end) };
    const file = await unlessAbsent(handle.getFile());
    if (file?.size === piece.end - piece.start) pieces.push(piece);
  }
  return pieces.sort((a, b) => a.start - b.start);
}

/** Deletes the pieces that are of no value. */
async function keep(folder: FileSystemDirectoryHandle, kept: ByteRanges): Promise<PieceName[]> {
  const pieces: PieceName[] = [];
  for (const piece of await piecesIn(folder)) {
    if (kept.covers(piece.start, piece.end)) pieces.push(piece);
    else await folder.removeEntry(nameOf(piece));
  }
  return pieces;
}

class PiecedData implements WritableData {
  readonly #folder: FileSystemDirectoryHandle;
  #pieces: readonly PieceName[];

  constructor(folder: FileSystemDirectoryHandle, pieces: readonly PieceName[]) {
    this.#folder = folder;
    this.#pieces = pieces;
  }

  get size(): number {
    return Math.max(0, ...this.#pieces.map(({ end }) => end));
  }

  async read(
    position: number,
    length: number,
    into: Uint8Array<ArrayBuffer> = new Uint8Array(length),
  ): Promise<Uint8Array<ArrayBuffer>> {
    let at = position;
    for (const piece of this.#pieces) {
      if (piece.end <= at) continue;
      if (piece.start > at || at >= position + length) break;
      const end = Math.min(piece.end, position + length);
      const file = await unlessAbsent(this.#file(piece));
      const part = file?.slice(at - piece.start, end - piece.start);
      const bytes = new Uint8Array((await part?.arrayBuffer()) ?? new ArrayBuffer(0));
      into.set(bytes, at - position);
      at += bytes.length;
      // A piece that has lost bytes ends what can be read.
      if (at < end) break;
    }
    return into.subarray(0, at - position);
  }

  async write(position: number, bytes: Uint8Array): Promise<void> {
    const piece = { start: position, end: position + bytes.length };
    const handle = await this.#folder.getFileHandle(nameOf(piece), { create: true });
    await replace(handle, bytes);
    // Overlapping pieces are of an earlier try, of which nothing is left.
    const old = ({ start, end }: PieceName): boolean => start < piece.end && end > piece.start;
    for (const one of this.#pieces.filter(old)) {
      if (nameOf(one) !== nameOf(piece)) await this.#folder.removeEntry(nameOf(one));
    }
    const others = this.#pieces.filter((one) => !old(one));
    this.#pieces = [...others, piece].sort((a, b) => a.start - b.start);
  }

  async sync(): Promise<void> {}
  async close(): Promise<void> {}

  async #file(piece: PieceName): Promise<File> {
    return (await this.#folder.getFileHandle(nameOf(piece))).getFile();
  }
}

/** All of a file at once: it appears when it is whole. */
async function replace(handle: FileSystemFileHandle, bytes: Uint8Array): Promise<void> {
  const writable = await handle.createWritable();
  try {
    // A Blob takes a copy: the memory may be used again meanwhile.
    await writable.write(new Blob([bytes.slice()]));
    await writable.close();
  } catch (error) {
    await writable.abort().catch(() => {});
    throw error;
  }
}

const isFile = (handle: FileSystemHandle): handle is FileSystemFileHandle => handle.kind === 'file';
const isFolder = (handle: FileSystemHandle): handle is FileSystemDirectoryHandle =>
  handle.kind === 'directory';

async function unlessAbsent<T>(promise: Promise<T> | undefined): Promise<T | undefined> {
  try {
    return await promise;
  } catch (error) {
    if (error instanceof DOMException && error.name === 'NotFoundError') return undefined;
    throw error;
  }
}
