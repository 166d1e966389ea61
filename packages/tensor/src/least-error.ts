import type { PackedDType } from './dtype.ts';
import { halfValues, toF16Bits } from './half.ts';
import { quantsOf, roundHalfEven, type BlockRounding } from './packed.ts';

/** Scales are tried that make the largest number this many quants more or less than the plain one does. */
const reach = 1.4;
const candidates = 9;

/**
 * Rounding that chooses a block's scale for the least error Σ weight · (value − scale · quant)², among
 * scales around the plain one, the best of them improved to the one that fits its quants best.
 *
 * @param weights how much an error at each place of a line counts; all alike without it. For the rows of
 * a matrix: the mean square of what meets the column, since that is what the product's error has.
 */
export function leastError(dtype: PackedDType, weights?: Float32Array): BlockRounding {
  const { bits, block } = dtype;
  const [least, most] = bits === 8 ? [-127, 127] : [-8, 7];
  const halves = halfValues('f16');
  const rounded = (scale: number): number =>
    dtype.scale === 'f16' ? halves[toF16Bits(Math.fround(scale))]! : Math.fround(scale);
  const weightsHere = new Float64Array(block).fill(1);
  // Σ weight · value · quant and Σ weight · quant² under the scale that was tried last.
  const sums = new Float64Array(2);

  /** The error under a scale. Called some twenty times for each block: plain loops, nothing allocated. */
  function errorOf(values: Float32Array, scale: number): number {
    const inverse = scale === 0 ? 0 : 1 / scale;
    let error = 0;
    let products = 0;
    let squares = 0;
    for (let i = 0; i < block; i++) {
      const value = values[i]!;
      const weight = weightsHere[i]!;
      let quant = roundHalfEven(value * inverse);
      if (quant < least) quant = least;
      else if (quant > most) quant = most;
      const off = value - scale * quant;
      error += weight * off * off;
      products += weight * value * quant;
      squares += weight * quant * quant;
    }
    sums[0] = products;
    sums[1] = squares;
    return error;
  }

  return (values, quants, { start }) => {
    let largest = 0;
    for (let i = 0; i < block; i++) {
      const value = values[i]!;
      if (Math.abs(value) > Math.abs(largest)) largest = value;
      if (Number.isNaN(value)) return NaN;
      if (weights) weightsHere[i] = weights[start + i]!;
    }
    let best = rounded(largest / least);
    let bestError = errorOf(values, best);
    // With 4 bits the sign decides which side has the one more quant; either may fit better.
    for (const steps of bits === 8 ? [least] : [least, most + 1]) {
      for (let c = 0; c < candidates; c++) {
        const scale = rounded(largest / (steps + (2 * (c / (candidates - 1)) - 1) * reach));
        const error = errorOf(values, scale);
        if (error < bestError) [best, bestError] = [scale, error];
      }
    }
    for (let round = 0; round < 2; round++) {
      errorOf(values, best);
      const scale = sums[1] === 0 ? 0 : rounded(sums[0]! / sums[1]!);
      const error = errorOf(values, scale);
      if (error < bestError) [best, bestError] = [scale, error];
    }
    quantsOf(values, best, bits, quants);
    return best;
  };
}
