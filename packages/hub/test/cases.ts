import { mkdtemp, readFile, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { expect, onTestFinished } from 'vitest';
import type { Cache } from '../src/cache.ts';
import { openCache } from '../src/open-cache.ts';
import { downloadWith, type DownloadOptions, type FileToFetch } from '../src/open-files.ts';
import { settingsOf } from '../src/options.ts';

/** A folder that goes away with the test. */
export async function temporaryFolder(): Promise<string> {
  const folder = await mkdtemp(join(tmpdir(), 'rwkv-hub-'));
  onTestFinished(() => rm(folder, { recursive: true, force: true, maxRetries: 5 }));
  return folder;
}

/** An empty cache that goes away with the test. */
export async function temporaryCache(
  warn = (message: string): void => void message,
): Promise<Cache> {
  return openCache({ folder: await temporaryFolder(), warn });
}

/** Delays that were asked for, none of which was waited. */
export interface Delays {
  readonly milliseconds: number[];
}

/** `download`, without waiting between attempts. */
export async function downloadNow(
  files: readonly FileToFetch[],
  options: DownloadOptions & { readonly cache: Cache },
  delays: Delays = { milliseconds: [] },
) {
  const settings = await settingsOf(options, {
    wait: async (milliseconds, signal) => {
      signal.throwIfAborted();
      delays.milliseconds.push(milliseconds);
    },
  });
  return downloadWith(files, options, settings);
}

/** The whole cache holds that file of the address, and nothing else. */
export async function expectCached(
  cache: Cache,
  address: string,
  bytes: Uint8Array,
): Promise<void> {
  const entries = await cache.list();
  expect(entries).toHaveLength(1);
  expect(entries[0]).toMatchObject({ whole: true, size: bytes.length });
  const found = await cache.find(address);
  expect(found?.whole).toBe(true);
  expect(Buffer.compare(await readFile(found!.path!), bytes)).toBe(0);
}

/** Nothing in the cache would be taken for the file. */
export async function expectNotCached(cache: Cache): Promise<void> {
  for (const entry of await cache.list()) expect(entry.whole).toBe(false);
}
