import { UsageError } from '@rwkv-js/tensor';
import type { Address } from './address.ts';
import { ChangedFile } from './failures.ts';
import { openHubFile, type CompleteFile, type HubFile } from './hub-file.ts';
import { addressOf, settingsOf, type HubOptions, type Settings } from './options.ts';
import { ProgressSum, type HubProgress } from './progress.ts';

/** A file to fetch: its address, and its sha256 where the caller knows it. */
export type FileToFetch = string | { readonly address: string; readonly sha256: string };

export interface OpenFilesOptions extends HubOptions {
  readonly progress?: ((progress: HubProgress) => void) | undefined;
  readonly signal?: AbortSignal | undefined;
}

export interface DownloadOptions extends OpenFilesOptions {
  /** Ask the server whether what is cached is still what it has. */
  readonly refresh?: boolean | undefined;
}

/**
 * Opens files to read from, with one progress over all of them. Nothing is fetched but their
 * beginnings, until it is read or `complete` is called. Each must be closed. What is asked for twice is opened
 * once, and closed for both.
 *
 * @param files `hf:owner/repo[@revision]/file`, or http(s) URLs
 * @throws UsageError for an address that is none, leads to nothing or may not be read, and offline for
 * what is not in the cache; FormatError for servers that cannot be reached or answer wrongly;
 * AbortError when the signal asks.
 */
export async function openFiles(
  files: readonly FileToFetch[],
  options: OpenFilesOptions = {},
): Promise<readonly HubFile[]> {
  return openAll(files, options, await settingsOf(options), false);
}

/**
 * Fetches files into the cache, those that are not there. A file that changes while it is fetched is
 * begun anew, once.
 *
 * @throws what `openFiles` and `HubFile.complete` throw.
 */
export async function download(
  files: readonly FileToFetch[],
  options: DownloadOptions = {},
): Promise<readonly CompleteFile[]> {
  return downloadWith(files, options, await settingsOf(options));
}

/** `download` with settings of the tests' own. */
export async function downloadWith(
  files: readonly FileToFetch[],
  options: DownloadOptions,
  settings: Settings,
): Promise<readonly CompleteFile[]> {
  const attempt = () => downloadOnce(files, options, settings);
  return attempt().catch((error: unknown) => {
    if (error instanceof ChangedFile) return attempt();
    throw error;
  });
}

async function downloadOnce(
  files: readonly FileToFetch[],
  options: DownloadOptions,
  settings: Settings,
): Promise<readonly CompleteFile[]> {
  const { signal } = options;
  const opened = await openAll(files, options, settings, options.refresh ?? false);
  try {
    const complete: CompleteFile[] = [];
    for (const file of opened) complete.push(await file.complete({ signal }));
    return complete;
  } finally {
    await closeAll(opened);
  }
}

async function openAll(
  files: readonly FileToFetch[],
  { progress, signal = new AbortController().signal }: OpenFilesOptions,
  settings: Settings,
  refresh: boolean,
): Promise<readonly HubFile[]> {
  const wanted = files.map((file) => {
    const { address, sha256 } =
      typeof file === 'string' ? { address: file, sha256: undefined } : file;
    if (sha256 !== undefined && !/^[0-9a-f]{64}$/i.test(sha256)) {
      throw new UsageError(
        `Fetching ${addressOf(address, settings).label}: its sha256 is ${sha256.length} characters; 64 hexadecimal digits were expected.`,
      );
    }
    return { address: addressOf(address, settings), sha256: sha256?.toLowerCase() };
  });
  const once = eachOnce(wanted);
  const sum = new ProgressSum(once.size, progress ?? (() => {}));
  // In one order everywhere: two processes that each hold what the other waits for would wait forever.
  const byLabel = [...once.values()].sort((a, b) =>
    a.address.url.href < b.address.url.href ? -1 : 1,
  );
  const opened = new Map<string, HubFile>();
  try {
    for (const [index, { address, sha256 }] of byLabel.entries()) {
      const how = { address, settings, progress: sum.file(index), signal, sha256, refresh };
      opened.set(address.url.href, await openHubFile(how));
    }
    return wanted.map(({ address }) => opened.get(address.url.href)!);
  } catch (error) {
    await closeAll([...opened.values()]);
    throw error;
  }
}

interface Wanted {
  readonly address: Address;
  readonly sha256: string | undefined;
}

/** The files by where they are: the second opening of one would wait for the first to end. */
function eachOnce(wanted: readonly Wanted[]): ReadonlyMap<string, Wanted> {
  const once = new Map<string, Wanted>();
  for (const { address, sha256 } of wanted) {
    const { href } = address.url;
    const known = once.get(href)?.sha256;
    if (known !== undefined && sha256 !== undefined && known !== sha256) {
      throw new UsageError(
        `Fetching ${address.label}: it was asked for with the sha256 ${known} and with ${sha256}; give one.`,
      );
    }
    once.set(href, { address, sha256: known ?? sha256 });
  }
  return once;
}

async function closeAll(files: readonly HubFile[]): Promise<void> {
  await Promise.allSettled(files.map((file) => file.close()));
}
