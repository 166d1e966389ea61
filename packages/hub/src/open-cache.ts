import { Cache } from './cache.ts';
import { runsOnNode } from './environment.ts';
import { defaultFolder, folderStorage } from './folder-storage.ts';
import { memoryStorage } from './memory-storage.ts';
import { opfsStorage } from './opfs-storage.ts';

export interface CacheOptions {
  /** Under Node: its folder, instead of what `RWKV_CACHE`, `HF_HOME` and `XDG_CACHE_HOME` say. */
  readonly folder?: string | undefined;
  /** Takes warnings, each a sentence. Default: the console. */
  readonly warn?: ((message: string) => void) | undefined;
}

/**
 * Opens the cache of model files: a folder under Node, the origin's private file system (OPFS) in a
 * page. Where there is none (a page without https, some private windows), it is in memory and ends
 * with the page, and a warning says so.
 */
export async function openCache(options: CacheOptions = {}): Promise<Cache> {
  const warn = options.warn ?? console.warn;
  if (runsOnNode()) {
    return new Cache(await folderStorage(options.folder ?? (await defaultFolder())), warn);
  }
  try {
    return new Cache(await opfsStorage(), warn);
  } catch (error) {
    const reason = error instanceof Error ? error.message : String(error);
    warn(`Models are kept in memory, and fetched again next time: ${reason}`);
    return openMemoryCache({ warn });
  }
}

/** A cache in memory: its files end with it. */
export function openMemoryCache({ warn }: Pick<CacheOptions, 'warn'> = {}): Cache {
  return new Cache(memoryStorage(), warn ?? console.warn);
}
