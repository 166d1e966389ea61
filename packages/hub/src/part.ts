import { FormatError, UsageError } from '@rwkv-js/tensor';
import type { Address } from './address.ts';
import { ByteRanges } from './byte-ranges.ts';
import { contentPrefix, makingPrefix, wholeName } from './data-names.ts';
import { entryText, type EntryFacts } from './entry.ts';
import { removeUnfinished } from './derived-data.ts';
import { codeOf, messageOf } from './failures.ts';
import { noRoom } from './no-room.ts';
import { isRecord, type Version } from './remote-file.ts';
import { sumHere, type RunningSum } from './running-sum.ts';
import { sha256 } from './sha256.ts';
import type { Storage, WritableData } from './storage.ts';

const journalName = 'part.json';
/** At most so much work is lost when the process is killed. */
const journalEvery = 1000;
/** Starting a thread takes as long as the sum of so many bytes. */
const worthThread = 32 * 1024 * 1024;

/** What is known of a file that is not whole yet. */
interface Journal extends Version {
  readonly address: string;
  readonly have: ByteRanges;
  /** The storage's `boot` while it was written, or `safe` when all of it was synced. */
  readonly boot: string;
}

/**
 * A file on its way into the cache: data, and a journal of which ranges of which version are in it.
 * Syncing all the time would halve the speed. So the journal says under which boot it was written; after
 * another, it is of value only where it was synced at the end, or the file's sum is known.
 * Whoever writes holds the key's lock.
 */
export class Part {
  readonly version: Version;
  /** Bytes that were written. */
  readonly have: ByteRanges;
  readonly #storage: Storage;
  readonly #address: Address;
  readonly #key: string;
  readonly #name: string;
  readonly #data: WritableData;
  readonly #boot: string;
  #journalled = performance.now();
  #journalling: Promise<void> | undefined;
  #finished = false;
  #closed = false;

  private constructor(
    where: { storage: Storage; address: Address; key: string; name: string; boot: string },
    version: Version,
    have: ByteRanges,
    data: WritableData,
  ) {
    this.#storage = where.storage;
    this.#address = where.address;
    this.#key = where.key;
    this.#name = where.name;
    this.#boot = where.boot;
    this.version = version;
    this.have = have;
    this.#data = data;
  }

  /** What an earlier try left. */
  static async journal(storage: Storage, key: string): Promise<Journal | undefined> {
    const text = await storage.readText(key, journalName);
    const journal = text === undefined ? undefined : parseJournal(text);
    const stored = journal && (await storage.stored?.(key, await partName(journal)));
    return journal && stored ? { ...journal, have: stored } : journal;
  }

  /**
   * Goes on with what an earlier try left of this version, or begins.
   *
   * @throws UsageError when the file will not fit.
   */
  static async open(
    storage: Storage,
    address: Address,
    key: string,
    version: Version,
    journal: Journal | undefined,
  ): Promise<Part> {
    const name = await partName(version);
    const boot = await storage.boot();
    const safe = journal?.boot === boot || journal?.boot === 'safe' || version.sha256 !== undefined;
    const left = safe ? journal?.have : undefined;
    if (left === undefined) await storage.remove(key, name);
    const needed = version.size - (left?.total ?? 0);
    const free = await storage.free();
    if (free !== undefined && free < needed) throw noRoom(storage, address, needed, free);
    const data = await storage
      .writeData(key, name, left ?? new ByteRanges())
      .catch(async (cause) => {
        throw await writingError(storage, address, needed, cause);
      });
    const end = Math.max(0, ...Array.from(left ?? [], (range) => range.end));
    // The data may be gone, or shorter than the journal says: then nothing of it is trusted.
    const have = left && data.size >= end ? new ByteRanges(left) : new ByteRanges();
    const part = new Part({ storage, address, key, name, boot }, version, have, data);
    try {
      await part.#journal(boot);
      return part;
    } catch (cause) {
      await part.#close();
      throw await writingError(storage, address, needed, cause);
    }
  }

  get pieceBytes(): number {
    return this.#storage.pieceBytes;
  }

  async read(
    position: number,
    length: number,
    into?: Uint8Array<ArrayBuffer>,
  ): Promise<Uint8Array<ArrayBuffer>> {
    const bytes = await this.#data.read(position, length, into);
    if (bytes.length === length) return bytes;
    throw new FormatError(
      `Reading ${this.#address.label}: ${length} bytes at ${position} were written to the cache and ` +
        `${bytes.length} are there; something else changes ${this.#storage.place}, load it again.`,
    );
  }

  /** A sum of what is written, from the beginning on; of much on a thread of its own, where there is one. */
  async sum(): Promise<RunningSum> {
    const here = (): Promise<RunningSum> => sumHere((...range) => this.read(...range));
    if (this.version.size < worthThread) return await here();
    const sum = await this.#data.sum?.().catch(() => undefined);
    if (!sum) return await here();
    const add: RunningSum['add'] = async (end, signal) => {
      await sum.add(end, signal).catch((cause: unknown) => {
        signal.throwIfAborted();
        throw new FormatError(
          `Reading ${this.#address.label}: what was written to the cache cannot be read back ` +
            `(${messageOf(cause)}); something else changes ${this.#storage.place}, load it again.`,
          { cause },
        );
      });
    };
    return { ...sum, add };
  }

  async write(position: number, bytes: Uint8Array): Promise<void> {
    try {
      await this.#data.write(position, bytes);
      this.have.add(position, position + bytes.length);
      if (performance.now() - this.#journalled > journalEvery) await this.#journal(this.#boot);
    } catch (cause) {
      const needed = this.version.size - this.have.total;
      throw await writingError(this.#storage, this.#address, needed, cause);
    }
  }

  /** All that was written is of no value: begins anew. */
  async reset(): Promise<void> {
    this.have.delete(0, this.version.size);
    await this.#journal(this.#boot);
  }

  /**
   * Makes the whole file an entry of the cache. It can still be read, until `close`.
   *
   * @param sum the sha256 of its bytes
   */
  async finish(sum: string): Promise<EntryFacts> {
    const storage = this.#storage;
    await this.#journalling;
    this.#finished = true;
    const prefix = contentPrefix(sum);
    const to = wholeName(sum, this.#address.name);
    const data = await storage.nameData(this.#key, this.#name, to);
    const facts: EntryFacts = {
      address: this.#address.label,
      size: this.version.size,
      tag: this.version.tag,
      sha256: sum,
      data,
      stamp: (await storage.stamp(this.#key, data)) ?? '',
      boot: this.#boot,
      saved: new Date().toISOString(),
    };
    await storage.writeText(this.#key, 'entry.json', entryText(facts));
    // What an older version or an unfinished try left; other programs may still be reading it.
    for (const name of (await storage.names(this.#key)).keys()) {
      const kept =
        name === 'entry.json' ||
        name === 'lock' ||
        name === data ||
        name.startsWith(prefix) ||
        name.startsWith(makingPrefix);
      if (!kept) await storage.remove(this.#key, name).catch(() => {});
    }
    await removeUnfinished(storage, this.#key).catch(() => {});
    return facts;
  }

  /** Takes it out of the cache. */
  async discard(): Promise<void> {
    await this.#journalling?.catch(() => {});
    await this.#close();
    await this.#storage.remove(this.#key, journalName);
    await this.#storage.remove(this.#key, this.#name);
  }

  /** Leaves it, to go on with later unless it is finished. Idempotent. */
  async close(): Promise<void> {
    if (this.#closed) return;
    await this.#journalling?.catch(() => {});
    try {
      if (!this.#finished) {
        await this.#journal(this.#boot);
        await this.#data.sync();
        await this.#journal('safe');
      }
    } finally {
      await this.#close();
    }
  }

  async #close(): Promise<void> {
    if (this.#closed) return;
    this.#closed = true;
    await this.#data.close();
  }

  #journal(boot: string): Promise<void> {
    return (this.#journalling ??= this.#write(boot).finally(() => (this.#journalling = undefined)));
  }

  async #write(boot: string): Promise<void> {
    this.#journalled = performance.now();
    const { version, have } = this;
    const ranges = Array.from(have, ({ start, end }) => [start, end]);
    const address = this.#address.label;
    const text = JSON.stringify({ address, ...version, boot, have: ranges });
    await this.#storage.writeText(this.#key, journalName, text);
  }
}

/** Of its own for each version, so that nothing can ever mix two. */
async function partName({ size, tag, sha256: sum }: Version): Promise<string> {
  const hash = await sha256();
  hash.update(new TextEncoder().encode(JSON.stringify([size, tag, sum])));
  return `part-${hash.digest().slice(0, 12)}`;
}

function parseJournal(text: string): Journal | undefined {
  let value: unknown;
  try {
    value = JSON.parse(text);
  } catch {
    return undefined;
  }
  if (!isRecord(value) || !Array.isArray(value['have'])) return undefined;
  const { address, size, tag, sha256: sum, have, boot } = value;
  const optional = (one: unknown): one is string | undefined =>
    one === undefined || typeof one === 'string';
  if (
    typeof address !== 'string' ||
    typeof boot !== 'string' ||
    !isSize(size) ||
    !optional(tag) ||
    !optional(sum)
  ) {
    return undefined;
  }
  const ranges = new ByteRanges();
  for (const range of have as readonly unknown[]) {
    if (!Array.isArray(range)) return undefined;
    const [start, end] = range as readonly unknown[];
    if (!isSize(start) || !isSize(end) || start > end || end > size) return undefined;
    ranges.add(start, end);
  }
  return { address, size, tag, sha256: sum, have: ranges, boot };
}

const isSize = (value: unknown): value is number =>
  Number.isSafeInteger(value) && Number(value) >= 0;

async function writingError(
  storage: Storage,
  address: Address,
  needed: number,
  cause: unknown,
): Promise<Error> {
  if (cause instanceof UsageError || cause instanceof FormatError) return cause;
  const code = codeOf(cause) ?? '';
  if (['ENOSPC', 'EDQUOT', 'QuotaExceededError'].includes(code)) {
    return noRoom(storage, address, needed);
  }
  // Where several writes meet the end of the room, browsers name it for one of them only, and their
  // estimate comes late: so the bytes are named below too.
  const free = await storage.free().catch(() => undefined);
  if (free !== undefined && free < needed) return noRoom(storage, address, needed, free);
  return new UsageError(
    `Caching ${address.label} in ${storage.place}: it cannot be written (${messageOf(cause)}); ` +
      `${needed} more bytes are needed, and there may be no room: delete other entries of the cache.`,
    { cause },
  );
}
