import { expect, test } from 'vitest';
import { fuzz } from './fuzzer.ts';
import { weightsFuzzer } from './weights.ts';

test('changed and strange weight files are read whole or refused in a sentence', async () => {
  const { runs, outcomes, failures } = await fuzz(weightsFuzzer, { runs: 400, seed: 1 });
  expect(failures).toEqual([]);
  expect(runs).toBe(400);
  // Neither all of them whole nor all of them beyond reading: the changes reach what they are meant for.
  expect(outcomes.get('loaded')).toBeGreaterThan(20);
  expect(outcomes.get('FormatError')).toBeGreaterThan(100);
});

test('a case that fails is told with its seed, and repeated by it', async () => {
  const broken = {
    ...weightsFuzzer,
    start: async () => async (seed: number) => {
      if (seed === 12) throw new Error('broken');
      return 'fine';
    },
  };
  const report = await fuzz(broken, { runs: 5, seed: 10 });
  expect(report.failures).toEqual([{ seed: 12, error: new Error('broken') }]);
  expect(Object.fromEntries(report.outcomes)).toEqual({ fine: 4, failed: 1 });
  expect((await fuzz(broken, { runs: 1, seed: 12 })).failures).toHaveLength(1);
});

test('stops when the signal asks', async () => {
  const signal = AbortSignal.abort();
  expect((await fuzz(weightsFuzzer, { runs: 5, seed: 1, signal })).runs).toBe(0);
});
