import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { placeInArena, type Lifetime } from './arena.ts';

const lifetimes = fc.array(
  fc
    .tuple(fc.nat(20), fc.nat(10), fc.nat(6))
    .map(([first, span, blocks]) => ({ first, last: first + span, byteLength: 8 * blocks })),
  { maxLength: 40 },
);

const together = (a: Lifetime, b: Lifetime): boolean => a.first <= b.last && b.first <= a.last;

describe('placeInArena', () => {
  test('no two values that live at the same time overlap, and all lie in the arena', () => {
    fc.assert(
      fc.property(lifetimes, (lives) => {
        const { offsets, byteLength } = placeInArena(lives);
        lives.forEach((a, i) => {
          expect(offsets[i]).toBeGreaterThanOrEqual(0);
          expect(offsets[i] % 8).toBe(0);
          expect(offsets[i] + a.byteLength).toBeLessThanOrEqual(byteLength);
          lives.slice(0, i).forEach((b, j) => {
            if (!together(a, b) || a.byteLength === 0 || b.byteLength === 0) return;
            const apart =
              offsets[i] + a.byteLength <= offsets[j] || offsets[j] + b.byteLength <= offsets[i];
            expect(apart).toBe(true);
          });
        });
      }),
      { seed: 2 },
    );
  });

  test('the arena holds the largest set that lives at once, and never more than all', () => {
    fc.assert(
      fc.property(lifetimes, (lives) => {
        const { byteLength } = placeInArena(lives);
        const sum = (some: readonly Lifetime[]): number =>
          some.reduce((total, life) => total + life.byteLength, 0);
        for (let at = 0; at <= 30; at++) {
          const alive = lives.filter(({ first, last }) => first <= at && at <= last);
          expect(byteLength).toBeGreaterThanOrEqual(sum(alive));
        }
        expect(byteLength).toBeLessThanOrEqual(sum(lives));
      }),
      { seed: 3 },
    );
  });

  test('a chain of values needs room for two', () => {
    const chain = Array.from({ length: 10 }, (_, i) => ({
      first: i,
      last: i + 1,
      byteLength: 64,
    }));
    expect(placeInArena(chain).byteLength).toBe(128);
  });

  test('takes nothing for nothing', () => {
    expect(placeInArena([])).toEqual({ offsets: [], byteLength: 0 });
  });
});
