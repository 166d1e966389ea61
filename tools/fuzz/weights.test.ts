import fc from 'fast-check';
import { expect, test } from 'vitest';
import { openWeightsFuzzer } from './weights.ts';

test('changed and strange weight files are read whole or refused in a sentence', async () => {
  await using fuzzer = openWeightsFuzzer(Infinity);
  let [held, whole] = [0, 0];
  const property = fuzzer.property((count) => {
    held += 1;
    whole += count;
  });
  await fc.assert(property, { numRuns: 400, seed: 1 });
  expect(held).toBe(400);
  // Neither all of them whole nor all beyond reading: the changes reach what they are meant for.
  expect(whole).toBeGreaterThan(15);
  expect(whole).toBeLessThan(200);
});

test('a case that takes too long fails', async () => {
  await using fuzzer = openWeightsFuzzer(0);
  const details = await fc.check(
    fuzzer.property(() => {}),
    { numRuns: 50, seed: 1 },
  );
  expect(String(details.errorInstance)).toMatch(/it took .* s for a file of \d+ bytes/);
});
