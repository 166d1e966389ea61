import type { DerivedData, HubFile } from '@rwkv-js/hub';
import { packingVersion, type WeightFormat } from '@rwkv-js/language';
import { byteLength, FormatError, isPacked, type WeightSource } from '@rwkv-js/tensor';

/** Weights whose packing is kept beside the file that they are packed from. */
export interface KeptPacking {
  readonly weights: WeightSource;
  /**
   * Call when all was read: keeps what was packed.
   *
   * @throws the signal's reason
   */
  keep(signal?: AbortSignal): Promise<void>;
  /** Drops what was not kept. Idempotent. */
  discard(): Promise<void>;
}

/**
 * Packs weights once: packing to 4 bits takes minutes for a billion of them. What an earlier load
 * packed is read from beside the file in the cache; otherwise it goes there while it is packed. Where there is no
 * room for it, a warning says so and loading goes on.
 *
 * What is kept are the tensors that packing changes, end to end in the order of `weights`.
 *
 * @param original what `weights` packs
 */
export async function keptPacking(
  weights: WeightSource,
  original: WeightSource,
  { file, format, warn }: { file: HubFile; format: WeightFormat; warn: (message: string) => void },
): Promise<KeptPacking> {
  const places = new Map<string, { position: number; length: number }>();
  let size = 0;
  for (const [name, entry] of weights.tensors) {
    if (!isPacked(entry.dtype) || isPacked(original.tensors.get(name)!.dtype)) continue;
    const length = byteLength(entry);
    places.set(name, { position: size, length });
    size += length;
  }
  // What cannot be read is packed again.
  const known = await file.derived(format, packingVersion).catch(() => undefined);
  if (known?.size === size) {
    return {
      weights: {
        ...weights,
        async read(name, options) {
          const place = places.get(name);
          if (!place) return weights.read(name, options);
          options?.signal?.throwIfAborted();
          const bytes = await known.read(place.position, place.length);
          options?.signal?.throwIfAborted();
          if (bytes.length === place.length) return bytes;
          throw new FormatError(
            `Reading the ${format} weights of ${file.label}: ${place.length} bytes of ${name} were kept in ` +
              `the cache and ${bytes.length} are there; something else changes it, load it again.`,
          );
        },
        async close() {
          await known.close();
          await weights.close();
        },
      },
      keep: async () => {},
      discard: async () => {},
    };
  }
  await known?.close();
  if (size === 0) return { weights, keep: async () => {}, discard: async () => {} };

  const missing = new Map(places);
  let making: DerivedData | undefined;
  const attempt = async (step: () => Promise<void>, signal?: AbortSignal): Promise<void> => {
    try {
      await step();
    } catch (cause) {
      await making?.discard().catch(() => {});
      making = undefined;
      if (signal?.aborted) return;
      warn(
        `Keeping the ${format} weights of ${file.label} in the cache: ${reason(cause)}; ` +
          'they are packed again at the next load.',
      );
    }
  };
  await attempt(async () => {
    making = await file.derive(format, packingVersion, size);
  });
  const read: WeightSource['read'] = async (name, options) => {
    const bytes = await weights.read(name, options);
    const place = missing.get(name);
    if (place && making) {
      missing.delete(name);
      await attempt(async () => making?.write(place.position, bytes));
    }
    return bytes;
  };
  return {
    weights: { ...weights, read },
    async keep(signal) {
      await attempt(async () => {
        // What the model does not take, so that whoever takes it finds all. It may be no good: the model is.
        for (const name of missing.keys()) if (making) await read(name, { signal });
        await making?.finish();
      }, signal);
      signal?.throwIfAborted();
    },
    discard: async () => making?.discard(),
  };
}

const reason = (cause: unknown): string => (cause instanceof Error ? cause.message : String(cause));
