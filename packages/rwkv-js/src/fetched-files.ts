import { openFiles, type HubFile, type HubOptions, type OpenFilesOptions } from '@rwkv-js/hub';
import type { LoadModelProgress } from './load-model.ts';
import { isIndexAddress, modelParts } from './model-parts.ts';
import { addressIn } from './open-input.ts';

/** Those of the inputs that have addresses, open and on their way. */
export interface FetchedFiles extends AsyncDisposable {
  /** True while any of them comes from a server. */
  readonly fetching: boolean;
  readonly fromCache: boolean;
  /** The file that was opened for an input; undefined for one without an address. */
  of(input: unknown): HubFile | undefined;
  /** Opens a part of the model whose index an input is; undefined for other inputs. */
  partOf(input: unknown): ((name: string) => Promise<HubFile>) | undefined;
  /** The file that was opened for an input, or the input. */
  instead<T>(input: T): T | HubFile;
  /** Resolves when all are whole, checked, and in the cache. */
  complete(): Promise<void>;
}

interface FetchOptions {
  readonly hub?: HubOptions | undefined;
  readonly progress?: ((progress: LoadModelProgress) => void) | undefined;
  readonly signal?: AbortSignal | undefined;
}

/** Opens the inputs that have addresses, all at once. */
export async function fetchedFiles(
  inputs: readonly unknown[],
  { hub, progress, signal }: FetchOptions,
): Promise<FetchedFiles> {
  const addresses = inputs.map(addressIn);
  const given = addresses.filter((address) => address !== undefined);
  const parts = new Map<string, ReadonlyMap<string, string>>();
  for (const index of given.filter(isIndexAddress)) {
    parts.set(index, await modelParts(index, { hub, signal }));
  }
  const ofParts = [...parts.values()].flatMap((addressOf) => [...addressOf.values()]);
  const asked = [...new Set([...given, ...ofParts])];
  const files = await openAddresses(asked, {
    ...hub,
    signal,
    progress(told) {
      // Of cached files it is the way to the device that is told, which begins at nothing.
      if (told.fromCache) return;
      progress?.(told.totalBytes === undefined ? { ...told, loadedBytes: 0 } : told);
    },
  });
  const complete = Promise.all(files.map((file) => file.complete({ signal })));
  complete.catch(() => {});
  const fetching = files.some((file) => !file.fromCache);
  const of = (input: unknown): HubFile | undefined => {
    const address = addressIn(input);
    return address === undefined ? undefined : files[asked.indexOf(address)];
  };
  return {
    fetching,
    fromCache: files.length > 0 && !fetching,
    of,
    partOf(input) {
      const addressOf = parts.get(addressIn(input) ?? '');
      return addressOf && (async (name) => files[asked.indexOf(addressOf.get(name)!)]!);
    },
    instead: (input) => of(input) ?? input,
    async complete() {
      await complete;
    },
    async [Symbol.asyncDispose]() {
      await Promise.all(files.map((file) => file.close()));
    },
  };
}

/** Without addresses there is no cache to open, nor to warn about. */
function openAddresses(
  addresses: readonly string[],
  options: OpenFilesOptions,
): Promise<readonly HubFile[]> {
  return addresses.length === 0 ? Promise.resolve([]) : openFiles(addresses, options);
}
