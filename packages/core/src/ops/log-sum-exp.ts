import type { Floats } from './floats.ts';

/** ln Σ eˣ, without overflow. */
export function logSumExp(values: Floats): number {
  let largest = -Infinity;
  for (let i = 0; i < values.length; i++) largest = Math.max(largest, values[i]!);
  let total = 0;
  for (let i = 0; i < values.length; i++) total += Math.exp(values[i]! - largest);
  return largest + Math.log(total);
}
