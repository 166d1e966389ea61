import { releasedShapes, rwkv7Entries, weightsIn, type WeightFormat } from '@rwkv-js/language';
import {
  byteLength,
  convert,
  dtypeName,
  isPacked,
  packedForm,
  toF16Bits,
  type DType,
  type TensorSpec,
  type WeightSource,
} from '@rwkv-js/tensor';

/** Bytes of random numbers of which all weights are made; more than a cache line, less than a cache. */
const blockBytes = 2 ** 20;

/**
 * Weights of a released size whose matrices repeat one block of random numbers: made as fast as memory is
 * copied, where a hash for each number would take minutes. For speed alone.
 */
export function repeatedWeights(size: string, format: WeightFormat): WeightSource {
  const plain: WeightSource = {
    label: `random numbers of RWKV-7 ${size}`,
    tensors: rwkv7Entries(releasedShapes[size]!, 'f16'),
    metadata: new Map(),
    read: () => Promise.reject(new Error('only names and shapes are asked for')),
    close: async () => undefined,
  };
  const { tensors } = weightsIn(format, plain);
  const blocks = new Map<string, Uint8Array>();
  return {
    ...plain,
    tensors,
    async read(name) {
      const spec = tensors.get(name)!;
      const input = /\.[wavg][12]$/.test(name) ? spec.shape[0]! : spec.shape.at(-1)!;
      const range = spec.shape.length > 1 ? 0.5 / Math.sqrt(input) : 0.1;
      if (isPacked(spec.dtype)) return packedBytes(spec, range, blocks);
      const isWeight = /ln\w*\.weight$|k_a$|k_k$/.test(name);
      const middle = isWeight ? 1 : name.endsWith('.w0') ? -3 : /\.x_\w$/.test(name) ? 0.5 : 0;
      return filled(byteLength(spec), block(blocks, spec.dtype, range, middle));
    },
    close: async () => undefined,
  };
}

function packedBytes(spec: TensorSpec, range: number, blocks: Map<string, Uint8Array>): Uint8Array {
  const { dtype, shape } = spec;
  if (!isPacked(dtype)) throw new Error('packed weights are expected');
  const bytes = new Uint8Array(byteLength(spec));
  const { quantBytes } = packedForm({ dtype, shape });
  bytes.set(filled(quantBytes, block(blocks, 'u32', 0, 0)));
  const scale = toF16Bits(range / (dtype.bits === 8 ? 127 : 8));
  new Uint16Array(bytes.buffer, quantBytes).fill(scale);
  return bytes;
}

/** A block of random numbers of a dtype: uniform around `middle`, or any bits. */
function block(
  blocks: Map<string, Uint8Array>,
  dtype: DType,
  range: number,
  middle: number,
): Uint8Array {
  const key = `${dtypeName(dtype)} ${range} ${middle}`;
  const known = blocks.get(key);
  if (known) return known;
  let state = 12345;
  const next = (): number => (state = (Math.imul(state, 1664525) + 1013904223) >>> 0);
  let made: Uint8Array;
  if (dtype === 'u32') {
    const words = Uint32Array.from({ length: blockBytes / 4 }, () => next() ^ (next() >>> 16));
    made = new Uint8Array(words.buffer);
  } else {
    const count = blockBytes / (dtype === 'f32' ? 4 : 2);
    const values = Float32Array.from(
      { length: count },
      () => middle + range * (next() / 2 ** 31 - 1),
    );
    const data = convert(values, 'f32', dtype as 'f32' | 'f16');
    made = new Uint8Array(data.buffer, data.byteOffset, data.byteLength);
  }
  blocks.set(key, made);
  return made;
}

function filled(length: number, from: Uint8Array): Uint8Array {
  const bytes = new Uint8Array(length);
  for (let at = 0; at < length; at += from.length) {
    bytes.set(from.subarray(0, Math.min(from.length, length - at)), at);
  }
  return bytes;
}
