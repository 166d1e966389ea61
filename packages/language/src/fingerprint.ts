import { convert, isPacked, viewBytes, type WeightSource } from '@rwkv-js/tensor';
import type { ModelConfig } from './config.ts';
import { stateKind } from './session-state.ts';

/**
 * Tells models of the same sizes apart: FNV-1a (64 bits, in hex) of the sizes and of the last layer norm's
 * weights and biases as f32. No two trainings end with the same ones; the dtype of the file's matrices and
 * adapters that leave the norms alone change nothing. It guards against mix-ups, not against forgery:
 * pages without a secure context have no cryptographic hashes.
 */
export async function fingerprintOf(
  source: WeightSource,
  config: ModelConfig,
  options: { readonly signal?: AbortSignal | undefined } = {},
): Promise<string> {
  let hash = fnv1a(new TextEncoder().encode(stateKind(config)));
  for (const name of ['ln_out.weight', 'ln_out.bias']) {
    const entry = source.tensors.get(name);
    // Vectors are never packed.
    if (!entry || isPacked(entry.dtype)) continue;
    const { dtype } = entry;
    const data = viewBytes(dtype, await source.read(name, options));
    const values = Float32Array.from(convert(data, dtype, 'f32'));
    hash = fnv1a(new Uint8Array(values.buffer), hash);
  }
  return hash.toString(16).padStart(16, '0');
}

function fnv1a(bytes: Uint8Array, from = 0xcbf29ce484222325n): bigint {
  let hash = from;
  for (const byte of bytes) hash = BigInt.asUintN(64, (hash ^ BigInt(byte)) * 0x100000001b3n);
  return hash;
}
