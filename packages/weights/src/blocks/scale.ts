import { toF16Bits, UsageError } from '@rwkv-js/tensor';

/** Writes the f16 nearest to a scale or minimum of a block. */
export function writeF16(blocks: Uint8Array, at: number, value: number, format: string): void {
  const bits = toF16Bits(value);
  if ((bits & 0x7c00) === 0x7c00) {
    throw new UsageError(
      `Quantising to ${format}: a block needs the scale or minimum ${value}, and at most 65504 fits; ` +
        `keep this tensor as F32.`,
    );
  }
  blocks[at] = bits;
  blocks[at + 1] = bits >> 8;
}

/**
 * One over a scale, as an f32; 0 where that is beyond f32, since such a scale is 0 as an f16 and
 * nothing of the block is left.
 */
export function reciprocal(scale: number): number {
  const inverse = Math.fround(1 / scale);
  return Number.isFinite(inverse) ? inverse : 0;
}

/** The number of largest magnitude from `start` up to `end`, with its sign; the first of equals. */
export function farthest(values: Float32Array, start: number, end: number): number {
  let found = 0;
  let magnitude = 0;
  for (let i = start; i < end; i++) {
    const one = Math.abs(values[i]);
    // A NaN is kept, so that writing the scale refuses it.
    if (one > magnitude || one !== one) {
      magnitude = one;
      found = values[i];
    }
  }
  return found;
}

/** The least and the greatest number from `start` up to `end`. */
export function range(values: Float32Array, start: number, end: number): [number, number] {
  let least = values[start];
  let greatest = least;
  for (let i = start + 1; i < end; i++) {
    least = Math.min(least, values[i]);
    greatest = Math.max(greatest, values[i]);
  }
  return [least, greatest];
}
