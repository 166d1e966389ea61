import { openFiles, type HubOptions } from '@rwkv-js/hub';
import { beside, shardNames } from '@rwkv-js/weights';

/** Whether an address is that of the index of a model in several files, by its name. */
export const isIndexAddress = (address: string): boolean =>
  /^[^?#]*\.index\.json(?:[?#]|$)/i.test(address);

/**
 * The address of each file that an index names, by its name. They lie beside the index, which is fetched
 * for this and is in the cache then.
 *
 * @throws FormatError for what is no index, or names files elsewhere.
 */
export async function modelParts(
  index: string,
  {
    hub,
    signal,
  }: { readonly hub?: HubOptions | undefined; readonly signal?: AbortSignal | undefined },
): Promise<ReadonlyMap<string, string>> {
  const [file] = await openFiles([index], { ...hub, signal });
  try {
    await file!.complete({ signal });
    const names = await shardNames(file!, { signal });
    return new Map(names.map((name) => [name, String(beside(index, name))]));
  } finally {
    await file!.close();
  }
}

/**
 * All addresses that a model is fetched from: its own, and for the index of a model in several files
 * those of the files that it names.
 *
 * @throws as `modelParts`.
 */
export async function modelAddresses(
  address: string,
  options: {
    readonly hub?: HubOptions | undefined;
    readonly signal?: AbortSignal | undefined;
  } = {},
): Promise<readonly string[]> {
  if (!isIndexAddress(address)) return [address];
  return [address, ...(await modelParts(address, options)).values()];
}
