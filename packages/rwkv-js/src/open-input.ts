import { isIndexAddress, modelParts } from './model-parts.ts';
import { isAddress, openFiles, type HubFile, type HubOptions } from '@rwkv-js/hub';
import {
  openSource,
  openWeights as openWeightsOf,
  type ByteSource,
  type OpenedWeights,
  type WeightFiles,
  type WeightInput,
} from '@rwkv-js/weights';

export interface InputOptions {
  /** How addresses are fetched: cache, token, endpoint, offline, a `fetch` of one's own. */
  readonly hub?: HubOptions | undefined;
  readonly signal?: AbortSignal | undefined;
}

/** The address that an input is; undefined for what lies on this machine. */
export function addressIn(input: unknown): string | undefined {
  const text = input instanceof URL ? input.href : input;
  return typeof text === 'string' && isAddress(text) ? text : undefined;
}

/** The bytes behind an input; those of an address come through the cache. */
export async function openInput(
  input: WeightInput,
  { hub, signal }: InputOptions = {},
): Promise<ByteSource> {
  const address = addressIn(input);
  if (address === undefined) return openSource(input, { signal });
  const [file] = await openFiles([address], { ...hub, signal });
  return file!;
}

/** All bytes of an input, which is small. Of an address it is a cache entry then. */
export async function readAll(
  source: ByteSource,
  { signal }: { readonly signal?: AbortSignal | undefined },
): Promise<Uint8Array> {
  if (isHubFile(source)) await source.complete({ signal });
  return source.read(0, source.size, { signal });
}

function isHubFile(source: ByteSource): source is HubFile {
  return 'complete' in source && typeof source.complete === 'function';
}

/**
 * Opens weights in any format of @rwkv-js/weights, by their content. Only headers are read;
 * each tensor is read when it is asked for. Of an address (`hf:owner/repo/file`, http, https), what was
 * read is kept in the cache, and not fetched again when the model is loaded.
 *
 * @param input a path (Node), an address, a Blob or File, bytes, or anything that can be read by ranges
 * @throws UsageError when there is no such file; FormatError when it is no weight file, or a damaged
 * one, or a server does not give it; AbortError when the signal asks.
 */
export async function openWeights(
  input: WeightInput | WeightFiles,
  options: InputOptions = {},
): Promise<OpenedWeights> {
  const { signal } = options;
  const address = addressIn(input);
  if (address === undefined) return openWeightsOf(input, { signal });
  const parts = isIndexAddress(address) ? await modelParts(address, options) : undefined;
  return openWeightsOf(await openInput(address, options), {
    signal,
    openPart: parts && ((name) => openInput(parts.get(name)!, options)),
  });
}
