import type { WeightInput } from './open-source.ts';

/**
 * Where the file `name` in the folder of an input is; undefined for bytes and Blobs, which have no
 * folder. The query of an address is left away: it is that of the one file.
 *
 * @param name of a file, without a folder.
 */
export function beside(input: WeightInput, name: string): string | URL | undefined {
  if (input instanceof URL) return besideUrl(input, name);
  if (typeof input !== 'string') return undefined;
  if (/^(https?|file):\/\//i.test(input)) return besideUrl(new URL(input), name);
  return input.replace(/[^/\\]*$/, '') + name;
}

function besideUrl(url: URL, name: string): URL | undefined {
  return url.protocol === 'blob:' ? undefined : new URL(`./${encodeURIComponent(name)}`, url);
}
