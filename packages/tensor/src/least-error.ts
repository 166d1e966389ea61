import type { PackedDType } from './dtype.ts';
import { halfValues, toF16Bits } from './half.ts';
import { quantsOf, type BlockRounding } from './packed.ts';

/** How far from the plain scale candidates are looked for, in quants of the largest number, and how many. */
const reach = 1.5;
const candidates = 31;

/**
 * Rounding that chooses a block's scale for the least error Σ weight · (value − scale · quant)², among
 * scales around the plain one, each improved once to the best for its quants.
 *
 * @param weights how much an error at each place of a line counts; all alike without it. For the rows of
 * a matrix: the mean square of what meets the column, since that is what the product's error has.
 */
export function leastError(dtype: PackedDType, weights?: Float32Array): BlockRounding {
  const { bits, block } = dtype;
  const most = bits === 8 ? 127 : 8;
  const trial = new Int8Array(block);
  const halves = halfValues('f16');
  const rounded = (scale: number): number =>
    dtype.scale === 'f16' ? halves[toF16Bits(Math.fround(scale))]! : Math.fround(scale);
  return (values, quants, { start }) => {
    let largest = 0;
    for (const value of values) {
      if (Math.abs(value) > Math.abs(largest)) largest = value;
      if (Number.isNaN(value)) return NaN;
    }
    let best = 0;
    let bestError = Infinity;
    const weightAt = (i: number): number => weights?.[start + i] ?? 1;
    const consider = (scale: number): void => {
      quantsOf(values, scale, bits, trial);
      let error = 0;
      for (let i = 0; i < block; i++) {
        error += weightAt(i) * (values[i]! - scale * trial[i]!) ** 2;
      }
      if (error >= bestError) return;
      [best, bestError] = [scale, error];
      quants.set(trial);
    };
    // The sign decides which side has the one more quant; both may fit better.
    const signs = bits === 8 ? [1] : [-1, 1];
    for (const sign of signs) {
      for (let c = 0; c < candidates; c++) {
        const steps = most + (2 * (c / (candidates - 1)) - 1) * reach;
        consider(rounded((sign * largest) / steps));
        consider(rounded(bestScale(values, trial, weightAt)));
      }
    }
    return best;
  };
}

/** The scale that makes given quants fit best. */
function bestScale(
  values: Float32Array,
  quants: Int8Array,
  weightAt: (i: number) => number,
): number {
  let [products, squares] = [0, 0];
  for (let i = 0; i < values.length; i++) {
    products += weightAt(i) * values[i]! * quants[i]!;
    squares += weightAt(i) * quants[i]! ** 2;
  }
  return squares === 0 ? 0 : products / squares;
}
