import { UsageError } from '@rwkv-js/tensor';
import { blobSource } from './blob-source.ts';
import type { ByteSource, ReadOptions } from './byte-source.ts';
import { bytesSource } from './bytes-source.ts';
import { hasPaths } from './node-errors.ts';
import { pathSource } from './path-source.ts';
import { urlSource } from './url-source.ts';

/**
 * Where weights can be: a path or an address, an address, a file of a page, bytes in memory, or
 * anything else that can be read by ranges, such as a cached file.
 */
export type WeightInput = string | URL | Blob | ArrayBuffer | Uint8Array | ByteSource;

/**
 * The bytes behind an input. Strings that start with `http://`, `https://` or `file://` are
 * addresses, all others paths.
 */
export async function openSource(
  input: WeightInput,
  options: ReadOptions = {},
): Promise<ByteSource> {
  options.signal?.throwIfAborted();
  if (input instanceof Uint8Array || input instanceof ArrayBuffer) return bytesSource(input);
  if (typeof Blob !== 'undefined' && input instanceof Blob) return blobSource(input);
  if (input instanceof URL) return openUrl(input, options);
  if (isByteSource(input)) return input;
  if (typeof input !== 'string') {
    throw new UsageError(
      `Opening weights: a path, URL, Blob, ArrayBuffer or Uint8Array was expected, found ${typeof input}.`,
    );
  }
  if (input === '') {
    throw new UsageError('Opening weights: the path is empty; give the path of a weight file.');
  }
  if (!/^(https?|file):\/\//i.test(input)) return pathSource(input);
  let url: URL;
  try {
    url = new URL(input);
  } catch (cause) {
    throw new UsageError(`Opening ${input}: it is not a valid address.`, { cause });
  }
  return openUrl(url, options);
}

function isByteSource(input: unknown): input is ByteSource {
  if (typeof input !== 'object' || input === null) return false;
  return 'read' in input && typeof input.read === 'function' && 'size' in input;
}

async function openUrl(url: URL, options: ReadOptions): Promise<ByteSource> {
  switch (url.protocol) {
    case 'http:':
    case 'https:':
    case 'blob:':
      return urlSource(url, options);
    case 'file:':
      return pathSource(await filePath(url));
    default:
      throw new UsageError(
        `Opening ${url.protocol} address: only http, https, file and blob addresses can be read.`,
      );
  }
}

async function filePath(url: URL): Promise<string> {
  if (!hasPaths()) {
    throw new UsageError(`Opening ${url.href}: file addresses can be read under Node only.`);
  }
  const { fileURLToPath } = await import('node:url');
  try {
    return fileURLToPath(url);
  } catch (cause) {
    throw new UsageError(`Opening ${url.href}: it does not name a file on this machine.`, {
      cause,
    });
  }
}
