import type { Activation } from './product.ts';

export type Ranks = Readonly<Record<'w' | 'a' | 'v' | 'g', number>>;

/** A low-rank map's factor among those that lie one after another. */
export interface Factor {
  readonly letter: keyof Ranks;
  /** The line where it begins. */
  readonly start: number;
  readonly rank: number;
}

/** Letters that have a factor: the order in which factors lie. */
export function factorsOf(ranks: Ranks): readonly Factor[] {
  let end = 0;
  return (['w', 'a', 'v', 'g'] as const)
    .filter((letter) => ranks[letter] > 0)
    .map((letter) => {
      const start = end;
      end += ranks[letter];
      return { letter, start, rank: ranks[letter] };
    });
}

/** The logistic function; what would overflow is its limit already. */
export const sigmoid: Activation = (value, type) =>
  `(1.0 / (1.0 + exp(-clamp(${value}, ${type}(-80.0), ${type}(80.0)))))`;

/** tanh; what would overflow is its limit already. */
export const tanh: Activation = (value, type) => `(2.0 * ${sigmoid(`2.0 * ${value}`, type)} - 1.0)`;
