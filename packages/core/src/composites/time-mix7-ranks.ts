import { slice } from '../ops/slice.ts';
import type { Value } from '@rwkv-js/tensor';

/**
 * Ranks of RWKV-7's low-rank factors: decay, in-context learning rate, value mix (0 in layer 0, which
 * has none), gate. A type and not an interface, so that it can be an operation's attributes.
 */
export type TimeMix7Ranks = { w: number; a: number; v: number; g: number };

/** The letters that have a factor, in the order in which factors lie one after another. */
export function lettersOf(ranks: TimeMix7Ranks): readonly (keyof TimeMix7Ranks)[] {
  return (['w', 'a', 'v', 'g'] as const).filter((letter) => ranks[letter] > 0);
}

/** Sum of all ranks: what lies one after another is as long as this. */
export function totalRank({ w, a, v, g }: TimeMix7Ranks): number {
  return w + a + v + g;
}

/** The part of a tensor that belongs to one factor, along an axis of length `totalRank`. */
export function partOf(
  all: Value,
  ranks: TimeMix7Ranks,
  letter: keyof TimeMix7Ranks,
  axis: number,
): Value {
  let start = 0;
  for (const other of lettersOf(ranks)) {
    if (other === letter) break;
    start += ranks[other];
  }
  return slice(all, { axis, start, end: start + ranks[letter] });
}
