import { isPacked, packedPlanes, type WeightEntry, type WeightSource } from '@rwkv-js/tensor';

/**
 * Numbers of the right size for the tensors of an RWKV-7 model, as fast as memory is written: a pattern of
 * random bits, again and again. Only for the clock: `randomWeights` is for what is computed.
 */
export function quickWeights(tensors: ReadonlyMap<string, WeightEntry>): WeightSource {
  const pattern = randomBytes(1 << 16);
  return {
    label: 'quick random numbers',
    tensors,
    metadata: new Map(),
    async read(name) {
      const { dtype, shape } = tensors.get(name)!;
      const count = shape.reduce((product, size) => product * size, 1);
      // About ±0.5 / √in, so that activations keep their size.
      const size = 0.5 / Math.sqrt(shape.length > 1 ? shape.at(-1)! : 100);
      if (isPacked(dtype)) {
        const blocks = count / dtype.block;
        const bytes = new Uint8Array(blocks * ((dtype.block * dtype.bits) / 8 + 2));
        const [quants, scales] = packedPlanes({ dtype, shape }, bytes);
        fill(quants.data as Uint8Array, pattern);
        scales.data.fill(halfBits(size / (dtype.bits === 8 ? 127 : 8)));
        return bytes;
      }
      if (dtype === 'f16') {
        const halves = new Uint16Array(count);
        // Any sign and fraction, and two exponents.
        const top = halfBits(size) & 0x7c00;
        const few = Uint16Array.from({ length: 1 << 14 }, (_, i) => {
          const bits = pattern[2 * i]! | (pattern[2 * i + 1]! << 8);
          return (bits & 0x83ff) | (top - ((bits >> 3) & 0x400));
        });
        fill(halves, few);
        return new Uint8Array(halves.buffer);
      }
      const floats = new Float32Array(count);
      const few = Float32Array.from({ length: 1 << 14 }, (_, i) => (pattern[i]! / 128 - 1) * size);
      fill(floats, few);
      if (/ln\w*\.weight$|k_a$|k_k$/.test(name)) floats.fill(1);
      if (name.endsWith('.w0')) floats.fill(-3);
      return new Uint8Array(floats.buffer);
    },
    close: async () => undefined,
  };
}

/** Writes `few` again and again until `all` is full. */
function fill<Of extends Uint8Array | Uint16Array | Float32Array>(all: Of, few: Of): void {
  for (let at = 0; at < all.length; at += few.length) {
    all.set(few.subarray(0, Math.min(few.length, all.length - at)), at);
  }
}

function randomBytes(count: number): Uint8Array {
  let state = 1;
  return Uint8Array.from({ length: count }, () => {
    state = (Math.imul(state, 1664525) + 1013904223) >>> 0;
    // No −128, which is no quant.
    return Math.max(state >>> 24, 1) === 128 ? 127 : state >>> 24;
  });
}

/** The bits of a power of two near `value` as an f16. */
function halfBits(value: number): number {
  return (Math.max(1, Math.round(Math.log2(value)) + 15) << 10) & 0x7c00;
}
