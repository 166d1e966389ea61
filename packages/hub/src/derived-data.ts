import { ByteRanges } from './byte-ranges.ts';
import { makingPrefix, packedName } from './data-names.ts';
import { isRecord } from './remote-file.ts';
import type { Storage, StoredData } from './storage.ts';

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
 * @param sum resolves to the file's sha256 when it is whole
 */
export async function makeDerived(
  storage: Storage,
  key: string,
  { sum, layout, version }: { sum: () => Promise<string>; layout: string; version: number },
): Promise<DerivedData> {
  const making = `${makingPrefix}${crypto.randomUUID()}`;
  const data = await storage.writeData(key, making, new ByteRanges());
  let state: 'open' | 'ended' = 'open';
  let size = 0;
  async function discard(): Promise<void> {
    if (state === 'ended') return;
    state = 'ended';
    await data.close();
    await storage.remove(key, making);
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
        const kept = await storage.nameData(key, making, name);
        const stamp = (await storage.stamp(key, kept)) ?? '';
        const facts: Facts = { data: kept, size, stamp };
        await storage.writeText(key, factsName(name), `${JSON.stringify(facts)}\n`);
        await removeLeft(storage, key);
      } catch (error) {
        await discard();
        throw error;
      }
      state = 'ended';
      await data.close();
    },
    discard,
  };
}

/** Deletes what others left who did not come to an end, and what was made anew. */
async function removeLeft(storage: Storage, key: string): Promise<void> {
  const names = [...(await storage.names(key)).keys()];
  const inUse = new Set<string>();
  for (const name of names.filter((one) => one.endsWith('.json'))) {
    const facts = parseFacts((await storage.readText(key, name)) ?? '');
    if (facts) inUse.add(facts.data);
  }
  for (const name of names) {
    if (name.startsWith(makingPrefix) && !inUse.has(name)) await storage.remove(key, name);
  }
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
