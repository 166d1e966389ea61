import { UsageError } from '@rwkv-js/tensor';
import { keyOf, type Address } from './address.ts';
import { ByteRanges } from './byte-ranges.ts';
import { makingPrefix, packedName } from './data-names.ts';
import { noRoom } from './no-room.ts';
import { isRecord } from './remote-file.ts';
import type { Lock, Storage, StoredData } from './storage.ts';

/** Data made from a file, on its way into the cache. */
export interface DerivedData {
  write(position: number, bytes: Uint8Array): Promise<void>;
  /**
   * Keeps it beside the file, for `derived` of the next load.
   *
   * @throws FormatError when the file itself turns out not to be whole.
   */
  finish(): Promise<void>;
  /** Drops it. Idempotent, and harmless after `finish`. */
  discard(): Promise<void>;
}

/** What the cache writes down of whole derived data. */
interface Facts {
  readonly data: string;
  readonly size: number;
  readonly stamp: string;
}

const lockSuffix = '.lock';
const factsName = (name: string): string => `${name}.json`;

/** What was made of a file's content; undefined where there is none, or it looks other than it was left. */
export async function openDerived(
  storage: Storage,
  key: string,
  { sha256, layout, version }: { sha256: string; layout: string; version: number },
): Promise<StoredData | undefined> {
  const text = await storage.readText(key, factsName(packedName(sha256, layout, version)));
  const facts = text === undefined ? undefined : parseFacts(text);
  if (!facts || (await storage.stamp(key, facts.data)) !== facts.stamp) return undefined;
  const data = await storage.openData(key, facts.data);
  if (data?.size === facts.size) return data;
  await data?.close();
  return undefined;
}

/**
 * Begins data that is made from a file, which may still be on its way itself. Several may make the same at
 * once: each writes its own, and the last stays.
 *
 * @param how.sum resolves to the file's sha256 when it is whole
 * @param how.needed bytes that have to fit: those of the data, and those of the file that are still to come
 * @throws UsageError when they do not; what the storage throws.
 */
export async function makeDerived(
  storage: Storage,
  address: Address,
  {
    sum,
    layout,
    version,
    needed,
  }: { sum: () => Promise<string>; layout: string; version: number; needed: number },
): Promise<DerivedData> {
  const free = await storage.free();
  if (free !== undefined && free < needed) throw noRoom(storage, address, needed, free);
  const key = await keyOf(address);
  const making = `${makingPrefix}${crypto.randomUUID()}`;
  // Tells it from what others left.
  const lock = await lockOf(storage, key, making);
  const data = await storage
    .writeData(key, making, new ByteRanges())
    .catch(async (error: unknown) => {
      await lock.release();
      throw error;
    });
  let state: 'open' | 'ended' = 'open';
  let size = 0;
  let stored = making;
  async function discard(): Promise<void> {
    if (state === 'ended') return;
    state = 'ended';
    try {
      await data.close();
      await storage.remove(key, stored);
    } finally {
      await lock.release();
    }
  }
  return {
    async write(position, bytes) {
      await data.write(position, bytes);
      size = Math.max(size, position + bytes.length);
    },
    async finish() {
      try {
        const name = packedName(await sum(), layout, version);
        await data.sync();
        stored = await storage.nameData(key, making, name);
        const stamp = (await storage.stamp(key, stored)) ?? '';
        const facts: Facts = { data: stored, size, stamp };
        await storage.writeText(key, factsName(name), `${JSON.stringify(facts)}\n`);
      } catch (error) {
        await discard();
        throw error;
      }
      state = 'ended';
      await data.close();
      await lock.release();
      await removeUnfinished(storage, key).catch(() => {});
    },
    discard,
  };
}

/** Deletes what others left who did not come to an end, and what was made anew since. */
export async function removeUnfinished(storage: Storage, key: string): Promise<void> {
  const making = [...(await storage.names(key)).keys()]
    .filter((name) => name.startsWith(makingPrefix))
    .map((name) => (name.endsWith(lockSuffix) ? name.slice(0, -lockSuffix.length) : name));
  for (const name of new Set(making)) {
    const lock = await lockOf(storage, key, name).catch(() => undefined);
    if (!lock) continue;
    try {
      if (!(await isKept(storage, key, name))) await storage.remove(key, name);
    } finally {
      await lock.release();
    }
  }
}

/** Whether data that keeps the name under which it was made is whole. */
async function isKept(storage: Storage, key: string, data: string): Promise<boolean> {
  for (const name of (await storage.names(key)).keys()) {
    const text = name.endsWith('.json') ? await storage.readText(key, name) : undefined;
    if (text !== undefined && parseFacts(text)?.data === data) return true;
  }
  return false;
}

/** @throws UsageError when somebody is at it. */
function lockOf(storage: Storage, key: string, making: string): Promise<Lock> {
  const held = async (): Promise<void> => {
    throw new UsageError(`${making} is being made.`);
  };
  return storage.lock(key, new AbortController().signal, held, making + lockSuffix);
}

function parseFacts(text: string): Facts | undefined {
  let value: unknown;
  try {
    value = JSON.parse(text);
  } catch {
    return undefined;
  }
  if (!isRecord(value)) return undefined;
  const { data, size, stamp } = value;
  if (typeof data !== 'string' || typeof stamp !== 'string' || typeof size !== 'number') {
    return undefined;
  }
  return { data, size, stamp };
}
