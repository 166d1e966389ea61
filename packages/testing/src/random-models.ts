import {
  convert,
  elementCount,
  UsageError,
  type HostArray,
  type WeightEntry,
  type WeightSource,
} from '@rwkv-js/tensor';
import { randomBits } from '@rwkv-js/core';

/** Sizes of an RWKV-7 model. */
export interface Rwkv7Shape {
  readonly layers: number;
  readonly width: number;
  readonly feedForwardWidth: number;
  readonly headSize: number;
  readonly vocabularySize: number;
  readonly ranks: {
    readonly w: number;
    readonly a: number;
    readonly v: number;
    readonly g: number;
  };
}

/**
 * An RWKV-7 model of random numbers, made tensor by tensor when asked for: for benchmarks, and tests
 * of sizes that no file is shipped for. Matrices are uniform in ±0.5/√in, so that activations keep
 * their size and nothing is zero; the decay's bias lies where trained models have it (specification,
 * shapes to benchmark with).
 *
 * @param dtype of the matrices; vectors are f32
 * @param seed the same seed gives the same numbers everywhere
 */
export function randomRwkv7(
  shape: Rwkv7Shape,
  dtype: 'f32' | 'f16' | 'bf16' = 'f32',
  seed = 1,
): WeightSource {
  const tensors = new Map<string, WeightEntry>();
  for (const [name, sizes] of rwkv7Tensors(shape)) {
    tensors.set(name, { dtype: isMatrix(name, sizes) ? dtype : 'f32', shape: sizes });
  }
  const names = [...tensors.keys()];
  const label = `random RWKV-7 of ${shape.layers}x${shape.width}`;
  return {
    label,
    tensors,
    metadata: new Map(),
    async read(name) {
      const entry = tensors.get(name);
      if (!entry) throw new UsageError(`${label} has no tensor '${name}'`);
      const values = valuesFor(name, entry.shape, seed, names.indexOf(name));
      const data: HostArray = convert(values, 'f32', entry.dtype);
      return new Uint8Array(data.buffer, data.byteOffset, data.byteLength);
    },
    close: async () => undefined,
  };
}

/** `r_k` is a vector written as [heads, headSize]. */
function isMatrix(name: string, sizes: readonly number[]): boolean {
  return sizes.length > 1 && !name.endsWith('r_k');
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

/** Names and shapes of all tensors, in official form. */
function* rwkv7Tensors({
  layers,
  width,
  feedForwardWidth,
  headSize,
  vocabularySize,
  ranks,
}: Rwkv7Shape): Generator<readonly [string, readonly number[]]> {
  const vectors = (prefix: string, names: string): [string, number[]][] =>
    names.split(' ').map((name) => [`${prefix}${name}`, [width]]);
  yield ['emb.weight', [vocabularySize, width]];
  yield* vectors('blocks.0.ln0.', 'weight bias');
  for (let layer = 0; layer < layers; layer++) {
    const block = `blocks.${layer}.`;
    yield* vectors(block, 'ln1.weight ln1.bias ln2.weight ln2.bias ffn.x_k');
    yield* vectors(`${block}att.`, 'x_r x_w x_k x_v x_a x_g w0 a0 k_k k_a ln_x.weight ln_x.bias');
    if (layer > 0) yield [`${block}att.v0`, [width]];
    for (const [letter, rank] of Object.entries(ranks)) {
      if (letter === 'v' && layer === 0) continue;
      yield [`${block}att.${letter}1`, [width, rank]];
      yield [`${block}att.${letter}2`, [rank, width]];
    }
    yield [`${block}att.r_k`, [width / headSize, headSize]];
    for (const name of ['receptance', 'key', 'value', 'output']) {
      yield [`${block}att.${name}.weight`, [width, width]];
    }
    yield [`${block}ffn.key.weight`, [feedForwardWidth, width]];
    yield [`${block}ffn.value.weight`, [width, feedForwardWidth]];
  }
  yield* vectors('ln_out.', 'weight bias');
  yield ['head.weight', [vocabularySize, width]];
}
