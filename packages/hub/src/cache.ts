import { FormatError, UsageError } from '@rwkv-js/tensor';
import { keyOf, parseAddress, type Address } from './address.ts';
import { entryText, parseEntry, type EntryFacts } from './entry.ts';
import { Part } from './part.ts';
import { sha256 } from './sha256.ts';
import type { Storage, StoredData } from './storage.ts';

/** What the cache has of an address. */
export interface CacheEntry {
  /** The address, without anything secret that it may have had. */
  readonly address: string;
  /** False while it is fetched, and after a fetch that was broken off. */
  readonly whole: boolean;
  /** Bytes of the whole file. */
  readonly size: number;
  /** Bytes that it takes in the cache, with everything that was made from it. */
  readonly storedBytes: number;
  /** Of a whole file. */
  readonly sha256: string | undefined;
  /** Where a whole file lies, when the cache is a folder of the disk. */
  readonly path: string | undefined;
}

/** A whole file in the cache, open. */
export interface CachedData extends StoredData {
  readonly facts: EntryFacts;
  readonly path: string | undefined;
}

const entryName = 'entry.json';

/**
 * Files by address, wherever they are stored. A file is an entry only when it is whole and its sum was
 * checked; one that looks different from how it was left, or may have been
 * lost in a power cut, is checked again when it is opened.
 */
export class Cache {
  /** Where the files are. Only this package looks inside. */
  readonly storage: Storage;
  readonly #warn: (message: string) => void;

  constructor(storage: Storage, warn: (message: string) => void) {
    this.storage = storage;
    this.#warn = warn;
  }

  /** `folder` (Node), `OPFS` (a page), or `memory`. */
  get kind(): 'folder' | 'OPFS' | 'memory' {
    return this.storage.kind;
  }

  /** Where it is, for people: a path, or a few words. */
  get place(): string {
    return this.storage.place;
  }

  /** Everything in it, in the order of addresses. */
  async list(): Promise<readonly CacheEntry[]> {
    const entries: CacheEntry[] = [];
    for (const key of await this.storage.keys()) {
      const entry = await this.#entry(key);
      if (entry) entries.push(entry);
    }
    return entries.sort((a, b) => (a.address < b.address ? -1 : 1));
  }

  /** What it has of an address; undefined when that is nothing. */
  async find(address: string): Promise<CacheEntry | undefined> {
    const [key] = await this.#keysOf(parseAddress(address));
    return key === undefined ? undefined : this.#entry(key);
  }

  /** Whether the whole file is there: loading it then asks no server. */
  async has(address: string): Promise<boolean> {
    return (await this.find(address))?.whole === true;
  }

  /**
   * Deletes what it has of an address, with everything that was made from it.
   *
   * @returns bytes that were freed
   * @throws UsageError when there is nothing of it, or it is being fetched.
   */
  async delete(address: string): Promise<number> {
    const parsed = parseAddress(address);
    const keys = await this.#keysOf(parsed);
    if (keys.length === 0) {
      throw new UsageError(`Deleting ${parsed.label}: it is not in the cache (${this.place}).`);
    }
    let freed = 0;
    for (const key of keys) freed += await this.#delete(key, parsed.label);
    return freed;
  }

  async #delete(key: string, label: string): Promise<number> {
    const lock = await this.storage.lock(key, new AbortController().signal, async () => {
      throw new UsageError(`Deleting ${label}: it is in use; end that first.`);
    });
    try {
      const bytes = (await this.#entry(key))?.storedBytes ?? 0;
      await this.storage.remove(key);
      return bytes;
    } finally {
      await lock.release();
    }
  }

  /** What is of an address. Without the query that an URL was fetched with, it means all of them. */
  async #keysOf(address: Address): Promise<readonly string[]> {
    const exact = await keyOf(address);
    if (await this.#entry(exact)) return [exact];
    const keys = await this.storage.keys();
    const labels = keys.map(async (key) => (await this.#entry(key))?.address);
    const found = await Promise.all(labels);
    return keys.filter((_, index) => !address.url.search && found[index] === address.label);
  }

  /**
   * Opens a whole file; undefined when there is none. One that does not look as it was left is read
   * through: when its sum is wrong, it is deleted, and a warning says so.
   */
  async open(address: Address, signal: AbortSignal): Promise<CachedData | undefined> {
    const { storage } = this;
    const key = await keyOf(address);
    const facts = await this.#facts(key);
    if (!facts) return undefined;
    const stamp = await storage.stamp(key, facts.data);
    const data = await storage.openData(key, facts.data);
    const boot = await storage.boot();
    const safe = facts.boot === boot || facts.boot === 'safe';
    if (data && safe && stamp === facts.stamp) return opened(data, facts);
    try {
      if (data?.size === facts.size && (await sumOf(data, signal)) === facts.sha256) {
        const now = { ...facts, stamp: stamp ?? '', boot: safe ? facts.boot : 'safe' };
        await storage.writeText(key, entryName, entryText(now));
        return opened(data, now);
      }
    } catch (error) {
      await data?.close();
      throw error;
    }
    await data?.close();
    this.#warn(
      `The cached file of ${facts.address} in ${this.place} is damaged; it is fetched again.`,
    );
    await storage.remove(key, entryName);
    await storage.remove(key, facts.data);
    return undefined;

    function opened(from: StoredData, known: EntryFacts): CachedData {
      return {
        facts: known,
        path: storage.path(key, known.data),
        size: from.size,
        read: (position, length) => from.read(position, length),
        close: () => from.close(),
      };
    }
  }

  async #entry(key: string): Promise<CacheEntry | undefined> {
    const facts = await this.#facts(key);
    const names = await this.storage.names(key);
    const storedBytes = [...names.values()].reduce((sum, bytes) => sum + bytes, 0);
    if (facts && names.has(facts.data)) {
      const { address, size, sha256: sum } = facts;
      const path = this.storage.path(key, facts.data);
      return { address, size, sha256: sum, storedBytes, path, whole: true };
    }
    const left = await Part.journal(this.storage, key);
    if (!left) return undefined;
    const { address, size } = left;
    return { address, size, storedBytes, whole: false, sha256: undefined, path: undefined };
  }

  async #facts(key: string): Promise<EntryFacts | undefined> {
    const text = await this.storage.readText(key, entryName);
    return text === undefined ? undefined : parseEntry(text);
  }
}

async function sumOf(data: StoredData, signal: AbortSignal): Promise<string> {
  const hash = await sha256();
  const step = 512 * 1024;
  const buffer = new Uint8Array(step);
  for (let position = 0; position < data.size; position += step) {
    signal.throwIfAborted();
    const length = Math.min(step, data.size - position);
    const bytes = await data.read(position, length, buffer);
    if (bytes.length < length) throw new FormatError('The cache gave fewer bytes than it has.');
    hash.update(bytes);
  }
  return hash.digest();
}
