import { expect, test } from 'vitest';
import { officialOptimizer, tensorGroup } from './optimizer.ts';

test('matrices decay; vectors, low-rank factors and norms do not', () => {
  const decays = (name: string, ...shape: number[]): boolean => tensorGroup(name, shape).decays;
  expect(decays('emb.weight', 20, 8)).toBe(true);
  expect(decays('blocks.0.att.key.weight', 8, 8)).toBe(true);
  expect(decays('blocks.0.ln1.weight', 8)).toBe(false);
  expect(decays('blocks.0.att.w1', 8, 2)).toBe(false);
  expect(decays('blocks.0.att.r_k', 2, 4)).toBe(false);
  expect(decays('blocks.0.att.x_r', 1, 1, 8)).toBe(false);
});

test('decays learn faster than the rest, and the bonus of RWKV-4 fastest', () => {
  const factor = (name: string): number => tensorGroup(name, [8]).rateFactor;
  expect(factor('blocks.3.att.w0')).toBe(2);
  expect(factor('blocks.3.att.time_decay')).toBe(2);
  expect(factor('blocks.3.att.time_first')).toBe(3);
  expect(factor('blocks.3.att.a0')).toBe(1);
  expect(factor('head.weight')).toBe(1);
});

test('the epsilon is that of the version', () => {
  expect(officialOptimizer('7').epsilon).toBe(1e-18);
  expect(officialOptimizer('4', 0.1)).toMatchObject({ epsilon: 1e-8, weightDecay: 0.1 });
});
