import { expect, test } from 'vitest';
import { symmetricGroup } from './permutations.ts';

test.each([
  [1, 1, 1],
  [3, 6, 3],
  [5, 120, 5],
])('of %i things there are %i permutations and %i generators', (things, size, generators) => {
  const group = symmetricGroup(things);
  expect(group.size).toBe(size);
  expect(group.generators).toHaveLength(generators);
});

test('products are a group', () => {
  const { size, product } = symmetricGroup(4);
  const all = Array.from({ length: size }, (_, i) => i);
  for (const a of all) {
    expect([product(0, a), product(a, 0)]).toEqual([a, a]);
    expect(new Set(all.map((b) => product(a, b))).size).toBe(size);
    for (const b of all) {
      for (const c of [1, 7, 23]) {
        expect(product(product(a, b), c)).toBe(product(a, product(b, c)));
      }
    }
  }
});

test('the order of factors matters', () => {
  const { generators, product } = symmetricGroup(3);
  const [, first, second] = generators as [number, number, number];
  expect(product(first, second)).not.toBe(product(second, first));
});

test('generators undo themselves, and every permutation is a product of them', () => {
  const { size, generators, product } = symmetricGroup(5);
  for (const generator of generators) expect(product(generator, generator)).toBe(0);
  const reached = new Set([0]);
  for (const permutation of reached) {
    for (const generator of generators) reached.add(product(permutation, generator));
  }
  expect(reached.size).toBe(size);
});
