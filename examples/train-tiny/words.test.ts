import { expect, test } from 'vitest';
import { symmetricGroup } from './permutations.ts';
import { randomWords } from './words.ts';

const group = symmetricGroup(5);
const options = { seed: 3, batch: 8, count: 40, length: 12 };

test('every target is the product of all tokens read', () => {
  for (const { tokens, targets } of randomWords(group, options)) {
    expect(tokens).toHaveLength(12);
    tokens.forEach((_, at) => {
      const read = tokens.slice(0, at + 1);
      expect(targets[at]).toBe(read.reduce((a, b) => group.product(a, b)));
    });
  }
});

test('tokens are generators, all about as often', () => {
  const counts = new Map(group.generators.map((generator) => [generator, 0]));
  for (const { tokens } of randomWords(group, options)) {
    for (const token of tokens) counts.set(token, counts.get(token)! + 1);
  }
  expect([...counts.values()].reduce((a, b) => a + b)).toBe(480);
  for (const count of counts.values()) expect(Math.abs(count - 96)).toBeLessThan(40);
});

test('words are the same for a seed and a batch, and others for others', () => {
  const words = JSON.stringify(randomWords(group, options));
  expect(JSON.stringify(randomWords(group, options))).toBe(words);
  expect(JSON.stringify(randomWords(group, { ...options, seed: 4 }))).not.toBe(words);
  expect(JSON.stringify(randomWords(group, { ...options, batch: 9 }))).not.toBe(words);
});
