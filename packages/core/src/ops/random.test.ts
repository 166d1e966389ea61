import { describe, expect, test } from 'vitest';
import { randomBits } from './random.ts';

/** pcg3d in integers of any size, cut to 32 bits after every step. */
function pcg3d(seed: number, position: number, token: number): number {
  const cut = (value: bigint): bigint => BigInt.asUintN(32, value);
  let [x, y, z] = [seed, position, token].map((key) =>
    cut(cut(BigInt(key)) * 1664525n + 1013904223n),
  );
  x = cut(x + y * z);
  y = cut(y + z * x);
  z = cut(z + x * y);
  x ^= x >> 16n;
  y ^= y >> 16n;
  z ^= z >> 16n;
  return Number(cut(x + y * z));
}

describe('randomBits', () => {
  test('is the first output of pcg3d', () => {
    const keys = [0, 1, 2, 65535, 65536, 2 ** 31 - 1, 2 ** 31, 2 ** 32 - 1, -1, -(2 ** 31)];
    for (const seed of keys) {
      for (const position of keys) {
        for (const token of keys) {
          expect(randomBits(seed, position, token)).toBe(pcg3d(seed, position, token));
        }
      }
    }
  });

  test('keeps its values', () => {
    expect([randomBits(0, 0, 0), randomBits(1, 2, 3), randomBits(42, 7, 65535)]).toEqual([
      2611992518, 4204755366, 1373513868,
    ]);
  });

  test.each([
    ['seed', (i: number) => randomBits(i, 5, 6)],
    ['position', (i: number) => randomBits(5, i, 6)],
    ['token', (i: number) => randomBits(5, 6, i)],
  ])('is spread evenly over a running %s', (_, draw) => {
    // 256 bins with 255 degrees of freedom: mean 255, standard deviation √510 ≈ 22.6.
    for (const shift of [0, 12, 24]) {
      const bins = new Array<number>(256).fill(0);
      const draws = 51200;
      for (let i = 0; i < draws; i++) bins[(draw(i) >>> shift) & 255]++;
      const expected = draws / 256;
      const chiSquare = bins.reduce((sum, count) => sum + (count - expected) ** 2 / expected, 0);
      expect(chiSquare).toBeGreaterThan(255 - 4 * 22.6);
      expect(chiSquare).toBeLessThan(255 + 4 * 22.6);
    }
  });

  test('neighbouring keys are not correlated', () => {
    const draws = 20000;
    const centred = (bits: number): number => bits / 2 ** 32 - 0.5;
    let [seeds, positions, tokens] = [0, 0, 0];
    for (let i = 0; i < draws; i++) {
      const here = centred(randomBits(i, 2 * i, 3 * i));
      seeds += here * centred(randomBits(i + 1, 2 * i, 3 * i));
      positions += here * centred(randomBits(i, 2 * i + 1, 3 * i));
      tokens += here * centred(randomBits(i, 2 * i, 3 * i + 1));
    }
    // A product of two such numbers has a standard deviation of 1/12.
    const limit = 4 / 12 / Math.sqrt(draws);
    for (const sum of [seeds, positions, tokens]) expect(Math.abs(sum / draws)).toBeLessThan(limit);
  });
});
