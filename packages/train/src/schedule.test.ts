import { expect, test } from 'vitest';
import { learningRate } from './schedule.ts';

const schedule = { rate: 0.01, finalRate: 0.001, warmup: 10, steps: 101 };

test('the learning rate begins near zero, and ends at the last rate', () => {
  expect(learningRate(1, schedule)).toBeCloseTo(0.01 * (0.01 + 0.099), 10);
  expect(learningRate(101, schedule)).toBeCloseTo(0.001, 10);
  expect(learningRate(500, schedule)).toBeCloseTo(0.001, 10);
});

test('the learning rate is in the middle at half of the steps', () => {
  expect(learningRate(51, schedule)).toBeCloseTo(0.0055, 10);
});

test('the learning rate rises for as long as it warms up, and falls afterwards', () => {
  const rates = Array.from({ length: 101 }, (_, i) => learningRate(i + 1, schedule));
  const highest = rates.indexOf(Math.max(...rates)) + 1;
  expect(highest).toBe(10);
  for (let i = 10; i < 100; i++) expect(rates[i]!).toBeLessThan(rates[i - 1]!);
});

test('a training of one step has a rate', () => {
  expect(learningRate(1, { ...schedule, warmup: 0, steps: 1 })).toBe(0.01);
});
