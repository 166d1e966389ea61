export { isAddress } from './address.ts';
export { Cache, type CacheEntry } from './cache.ts';
export { type DerivedData } from './derived-data.ts';
export { type CompleteFile, type HubFile } from './hub-file.ts';
export { openCache, openMemoryCache, type CacheOptions } from './open-cache.ts';
export {
  download,
  openFiles,
  type DownloadOptions,
  type FileToFetch,
  type OpenFilesOptions,
} from './open-files.ts';
export { type HubOptions, type Token } from './options.ts';
export { type HubProgress, type Stage } from './progress.ts';
