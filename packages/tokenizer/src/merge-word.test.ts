import fc from 'fast-check';
import { expect, test } from 'vitest';
import { MergeTable } from './merge-table.ts';
import { mergeWord } from './merge-word.ts';

/** Merges by rank as the definition says: look at all pairs, merge the first of the lowest rank. */
function naive(word: readonly number[], ranks: ReadonlyMap<string, [number, number]>): number[] {
  const tokens = [...word];
  for (;;) {
    let best = -1;
    let lowest = Infinity;
    for (let at = 0; at + 1 < tokens.length; at++) {
      const rank = ranks.get(`${tokens[at]},${tokens[at + 1]}`)?.[0] ?? Infinity;
      if (rank < lowest) [best, lowest] = [at, rank];
    }
    if (best < 0) return tokens;
    const [, result] = ranks.get(`${tokens[best]},${tokens[best + 1]}`)!;
    tokens.splice(best, 2, result);
  }
}

test('merges words of any length as the definition says', () => {
  const token = fc.nat(11);
  const pairs = fc.uniqueArray(fc.tuple(token, token, token), {
    maxLength: 40,
    selector: ([left, right]) => `${left},${right}`,
  });
  const word = fc.array(token, { maxLength: 90, size: 'max' as const });
  fc.assert(
    fc.property(pairs, word, (list, tokens) => {
      const merges = new MergeTable(list.length);
      const ranks = new Map<string, [number, number]>();
      list.forEach(([left, right, result], rank) => {
        expect(merges.add(left, right, rank, result)).toBe(true);
        ranks.set(`${left},${right}`, [rank, result]);
      });
      const found = Int32Array.from(tokens);
      const count = mergeWord(found, tokens.length, merges);
      expect([...found.subarray(0, count)]).toEqual(naive(tokens, ranks));
    }),
    { seed: 6, numRuns: 1000 },
  );
});

test('a pair merges in one way only', () => {
  const merges = new MergeTable(2);
  expect(merges.add(1, 2, 0, 3)).toBe(true);
  expect(merges.add(1, 2, 1, 4)).toBe(false);
  expect([merges.rank(1, 2), merges.result(1, 2), merges.rank(2, 1)]).toEqual([0, 3, -1]);
});
