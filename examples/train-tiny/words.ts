import { randomBits, type TrainingSequence } from 'rwkv-js';
import type { Group } from './permutations.ts';

/**
 * Words of random permutations: the tokens are swaps of neighbours, and the target after each of them is
 * the product of all that were read. Nothing of it can be guessed from a part of the word.
 *
 * @param seed the same seed gives the same words
 * @param batch which batch of that seed; words are made when they are needed and never again
 */
export function randomWords(
  group: Group,
  { seed, batch, count, length }: { seed: number; batch: number; count: number; length: number },
): readonly TrainingSequence[] {
  return Array.from({ length: count }, (_, word) => {
    const tokens: number[] = [];
    const targets: number[] = [];
    let product = 0;
    for (let at = 0; at < length; at++) {
      const bits = randomBits(seed, batch, word * length + at);
      const token = group.generators[bits % group.generators.length]!;
      product = group.product(product, token);
      tokens.push(token);
      targets.push(product);
    }
    return { tokens, targets };
  });
}
