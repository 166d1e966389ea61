import type { WeightSource } from '@rwkv-js/tensor';
import { layoutSafetensors } from './safetensors-layout.ts';
import { writeParts, type WriteOptions } from './write-parts.ts';

export interface WriteWeightsOptions extends WriteOptions {
  /** Free text for the file, besides what the source has. */
  readonly metadata?: ReadonlyMap<string, string> | undefined;
}

/**
 * Writes all tensors of a source as a safetensors file, as `writeParts` does: one at a time, resumably,
 * and visible only when whole. Node only.
 *
 * @throws UsageError when the path cannot be written; AbortError; what reading the source throws.
 */
export async function writeWeights(
  path: string,
  source: WeightSource,
  { metadata, ...options }: WriteWeightsOptions = {},
): Promise<void> {
  const tensors = Array.from(source.tensors, ([name, entry]) => ({ name, ...entry }));
  const all = new Map([...source.metadata, ...(metadata ?? [])]);
  const { signal } = options;
  const read = (name: string): Promise<Uint8Array> => source.read(name, { signal });
  await writeParts(path, layoutSafetensors(tensors, all), read, options);
}
