import { FormatError, UsageError } from '@rwkv-js/tensor';
import { keyOf, type Address } from './address.ts';
import type { CachedData } from './cache.ts';
import { ChangedFile } from './failures.ts';
import { clientFor, type Settings } from './options.ts';
import { Part } from './part.ts';
import { Patience } from './patience.ts';
import type { FileProgress } from './progress.ts';
import { RemoteFile, sameVersion } from './remote-file.ts';
import { makeDerived, openDerived, type DerivedData } from './derived-data.ts';
import type { Lock, StoredData } from './storage.ts';
import { Transfer } from './transfer.ts';
import { waitUnlessAborted } from './wait-unless-aborted.ts';

/**
 * A file behind an address: bytes that can be read from anywhere, out of the cache or off the server,
 * which then end up in the cache. `openWeights` takes it for a source.
 */
export interface HubFile {
  /** The address, without anything secret. */
  readonly label: string;
  readonly size: number;
  /** True when all of it was in the cache. */
  readonly fromCache: boolean;
  /**
   * `length` bytes from `position` on. What is not there is fetched first, before all else.
   *
   * @throws FormatError when they cannot be had, AbortError when the signal asks, UsageError after
   * `close` and for a range that is not in the file.
   */
  read(
    position: number,
    length: number,
    options?: { readonly signal?: AbortSignal | undefined },
  ): Promise<Uint8Array<ArrayBuffer>>;
  /**
   * Fetches all that is missing, checks it, and makes it an entry of the cache. Reads go on meanwhile.
   *
   * @throws FormatError when the server cannot give it, or gives another file than it promised;
   * UsageError when it does not fit; AbortError when the signal asks.
   */
  complete(options?: { readonly signal?: AbortSignal | undefined }): Promise<CompleteFile>;
  /**
   * What an earlier load made from the file and kept beside it, such as packed weights; undefined where
   * there is none, and while the file is not whole.
   *
   * @param layout what was made, such as `q4`: letters, digits, `-`, `_` and `.`
   * @param version of the way it is made; what another version made is not found
   */
  derived(layout: string, version: number): Promise<StoredData | undefined>;
  /**
   * Begins what is made from the file, to be kept beside it. It counts when both are whole.
   *
   * @param size bytes that it will have
   * @throws UsageError when they do not fit beside the whole file; what the storage throws.
   */
  derive(layout: string, version: number, size: number): Promise<DerivedData>;
  /**
   * Ends what is on its way; what came of it is kept, to go on with later. A slow disk is not waited
   * for: what it still has to take goes on by itself. Idempotent.
   */
  close(): Promise<void>;
}

/** A whole file in the cache. */
export interface CompleteFile {
  readonly label: string;
  readonly size: number;
  readonly sha256: string;
  /** Where it lies, when the cache is a folder of the disk. */
  readonly path: string | undefined;
}

/** How one file is opened. */
export interface OpenFile {
  readonly address: Address;
  readonly settings: Settings;
  readonly progress: FileProgress;
  readonly signal: AbortSignal;
  /** The sum that the caller knows. */
  readonly sha256: string | undefined;
  /** Ask the server whether a cached file is still what it has. */
  readonly refresh: boolean;
}

/** Milliseconds that closing waits for the disk: whoever aborts wants to go on. */
const longestClose = 50;

/** Opens a file: out of the cache when it is whole there, which asks no server. */
export async function openHubFile(how: OpenFile): Promise<HubFile> {
  const { address, settings, progress, signal } = how;
  signal.throwIfAborted();
  const cached = await openCached(how);
  if (cached && !(how.refresh && !settings.offline)) return cachedFile(cached, how);
  await cached?.close();
  if (settings.offline) {
    throw new UsageError(
      `Opening ${address.label}: it is not in the cache (${settings.cache.place}), and no server is ` +
        'asked offline (HF_HUB_OFFLINE or the option offline); fetch it once with a network.',
    );
  }
  const { storage } = settings.cache;
  const key = await keyOf(address);
  const lock = await storage.lock(key, signal, async () => {
    progress.waiting((await Part.journal(storage, key))?.have.total ?? 0);
  });
  try {
    // Somebody else may have fetched it in the meantime.
    const whole = await openCached(how);
    if (whole && !how.refresh) {
      await lock.release();
      return cachedFile(whole, how);
    }
    return await openRemote(how, key, lock, whole);
  } catch (error) {
    await lock.release();
    throw error;
  }
}

/** The whole file in the cache; undefined when there is none, or it is not the one that is wanted. */
async function openCached({ address, settings, signal, sha256: sum }: OpenFile) {
  const data = await settings.cache.open(address, signal);
  if (!data || sum === undefined || data.facts.sha256 === sum) return data;
  await data.close();
  return undefined;
}

function cachedFile(data: CachedData, { address, progress, settings }: OpenFile): HubFile {
  const { label } = address;
  const { size } = data;
  const { storage } = settings.cache;
  const { sha256: content } = data.facts;
  let closing: Promise<void> | undefined;
  progress.opened(size, size, true);
  return {
    label,
    size,
    fromCache: true,
    async read(position, length, { signal } = {}) {
      signal?.throwIfAborted();
      checkRead(label, size, position, length, closing !== undefined);
      const bytes = await data.read(position, length);
      signal?.throwIfAborted();
      if (bytes.length === length) return bytes;
      throw new FormatError(
        `Reading ${label}: ${length} bytes at ${position} were asked for and the cache gave ` +
          `${bytes.length}; something else changes it, load it again.`,
      );
    },
    async complete() {
      return { label, size, sha256: content, path: data.path };
    },
    async derived(layout, version) {
      return openDerived(storage, await keyOf(address), { sha256: content, layout, version });
    },
    derive(layout, version, needed) {
      const sum = async (): Promise<string> => content;
      return makeDerived(storage, address, { sum, layout, version, needed });
    },
    close: () => (closing ??= data.close()),
  };
}

async function openRemote(
  how: OpenFile,
  key: string,
  lock: Lock,
  cached: CachedData | undefined,
): Promise<HubFile> {
  const { address, settings, signal, sha256: sum } = how;
  const { storage } = settings.cache;
  const client = await clientFor(address, settings);
  const patience = new Patience(settings.wait);
  const open = (position: number) =>
    RemoteFile.open(address, client, { position, sha256: sum, patience, signal });
  const left = await Part.journal(storage, key);
  const missing = left?.have.firstGap(0, left.size)?.start ?? 0;
  const remote = await open(missing).catch((error: unknown) => {
    if (error instanceof ChangedFile) return open(0);
    throw error;
  });
  try {
    if (cached) {
      const { size, tag, sha256: known } = cached.facts;
      if (sameVersion({ size, tag, sha256: known }, remote.version)) {
        await remote.close();
        await lock.release();
        return cachedFile(cached, how);
      }
      await cached.close();
    }
    const same = left !== undefined && remote.ranged && sameVersion(left, remote.version);
    const part = await Part.open(storage, address, key, remote.version, same ? left : undefined);
    return await remoteFile(how, { remote, part, lock, patience });
  } catch (error) {
    await remote.close();
    throw error;
  }
}

async function remoteFile(
  how: OpenFile,
  {
    remote,
    part,
    lock,
    patience,
  }: { remote: RemoteFile; part: Part; lock: Lock; patience: Patience },
): Promise<HubFile> {
  const { address, settings, progress } = how;
  const { label } = address;
  const { size } = remote.version;
  const closed = new AbortController();
  const { head } = remote;
  if (head && !part.have.covers(head.position, head.position + head.bytes.length)) {
    await part.write(head.position, head.bytes);
  }
  progress.opened(size, part.have.total, false);
  const transfer = new Transfer(remote, part, patience, progress.gained);
  let completing: Promise<CompleteFile> | undefined;
  let ending: Promise<void> | undefined;

  async function complete(): Promise<CompleteFile> {
    try {
      const sum = await transfer.whole(closed.signal, progress.verifying);
      const expected = remote.version.sha256;
      if (expected !== undefined && sum !== expected) {
        const sums = `the sha256 of what came is ${sum} and should be ${expected}`;
        throw new ChangedFile(
          label,
          sums,
          'it is damaged on the way or the sum is that of another',
        );
      }
      const facts = await part.finish(sum);
      await lock.release();
      progress.done();
      return {
        label,
        size,
        sha256: sum,
        path: settings.cache.storage.path(await keyOf(address), facts.data),
      };
    } catch (error) {
      if (error instanceof ChangedFile) await end(error, 'discard');
      throw error;
    }
  }

  function end(reason: Error, outcome: 'close' | 'discard'): Promise<void> {
    return (ending ??= (async () => {
      closed.abort(reason);
      try {
        await transfer.stop(reason);
        await part[outcome]();
      } finally {
        await lock.release();
      }
    })());
  }

  const whole = (): Promise<CompleteFile> => {
    completing ??= complete();
    completing.catch(() => {});
    return completing;
  };

  return {
    label,
    size,
    fromCache: false,
    async read(position, length, { signal } = {}) {
      signal?.throwIfAborted();
      closed.signal.throwIfAborted();
      checkRead(label, size, position, length, false);
      const either = signal ? AbortSignal.any([signal, closed.signal]) : closed.signal;
      return transfer.read(position, length, either);
    },
    async complete({ signal } = {}) {
      signal?.throwIfAborted();
      return signal ? await waitUnlessAborted(whole(), signal) : await whole();
    },
    derived: async () => undefined,
    derive(layout, version, bytes) {
      const sum = async (): Promise<string> => (await whole()).sha256;
      // The file comes first: what is made from it must not take its room.
      const needed = bytes + size - part.have.total;
      return makeDerived(settings.cache.storage, address, { sum, layout, version, needed });
    },
    async close() {
      await atMost(longestClose, end(closedError(label), 'close'));
    },
  };
}

function closedError(label: string): UsageError {
  return new UsageError(`Reading ${label}: it has been closed; open it again to read from it.`);
}

function checkRead(
  label: string,
  size: number,
  position: number,
  length: number,
  closed: boolean,
): void {
  if (closed) throw closedError(label);
  const whole = Number.isSafeInteger(position) && Number.isSafeInteger(length);
  if (whole && position >= 0 && length >= 0 && length <= size - position) return;
  throw new FormatError(
    `Reading ${label}: ${length} bytes at ${position} were asked for, but the file ends at byte ` +
      `${size}; it is cut short or not what its header says.`,
  );
}

async function atMost(milliseconds: number, promise: Promise<void>): Promise<void> {
  let timer: ReturnType<typeof setTimeout> | undefined;
  const enough = new Promise<void>((resolve) => (timer = setTimeout(resolve, milliseconds)));
  promise.catch(() => {});
  try {
    await Promise.race([promise, enough]);
  } finally {
    clearTimeout(timer);
  }
}
