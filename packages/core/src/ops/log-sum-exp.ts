import type { Floats } from './floats.ts';

/** ln Σ eˣ, without overflow; −∞ of nothing. NaN among the values gives NaN. */
export function logSumExp(values: Floats): number {
  let largest = -Infinity;
  for (let i = 0; i < values.length; i++) largest = Math.max(largest, values[i]!);
  if (!Number.isFinite(largest)) return largest;
  let total = 0;
  for (let i = 0; i < values.length; i++) total += Math.exp(values[i]! - largest);
  return largest + Math.log(total);
}
