import { randomBits } from '@rwkv-js/core';
import {
  convert,
  elementCount,
  isPacked,
  pack,
  UsageError,
  type HostArray,
  type WeightEntry,
  type WeightSource,
} from '@rwkv-js/tensor';

/**
 * Random numbers for the tensors of an RWKV-7 model, made tensor by tensor when asked for: for
 * benchmarks, and tests of sizes that no file is shipped for. Matrices are uniform in ±0.5/√in, so that
 * activations keep their size and nothing is zero; the decay's bias lies where trained models have it
 * (specification, shapes to benchmark with).
 *
 * @param seed the same seed gives the same numbers everywhere
 */
export function randomWeights(tensors: ReadonlyMap<string, WeightEntry>, seed = 1): WeightSource {
  const names = [...tensors.keys()];
  const label = 'random numbers';
  return {
    label,
    tensors,
    metadata: new Map(),
    async read(name) {
      const entry = tensors.get(name);
      if (!entry) throw new UsageError(`${label} have no tensor '${name}'`);
      const values = valuesFor(name, entry.shape, seed, names.indexOf(name));
      const { dtype, shape } = entry;
      if (isPacked(dtype)) return pack({ dtype, shape }, values);
      const data: HostArray = convert(values, 'f32', dtype);
      return new Uint8Array(data.buffer, data.byteOffset, data.byteLength);
    },
    close: async () => undefined,
  };
}

function valuesFor(
  name: string,
  shape: readonly number[],
  seed: number,
  place: number,
): Float32Array {
  const values = new Float32Array(elementCount(shape));
  const isWeight = /ln\w*\.weight$|k_a$|k_k$/.test(name);
  // Raw low-rank factors are stored [in, out], projections [out, in].
  const input = /\.[wavg][12]$/.test(name) ? shape[0]! : shape.at(-1)!;
  const range = shape.length > 1 ? 0.5 / Math.sqrt(input) : 0.1;
  const middle = isWeight ? 1 : name.endsWith('.w0') ? -3 : /\.x_\w$/.test(name) ? 0.5 : 0;
  for (let i = 0; i < values.length; i++) {
    values[i] = middle + range * (randomBits(seed, place, i) / 2 ** 31 - 1);
  }
  return values;
}
