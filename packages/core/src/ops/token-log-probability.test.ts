import { evaluate, ShapeError, tensor, type HostTensor } from '@rwkv-js/tensor';
import { describe, expect, test } from 'vitest';
import { elementsOf, randomTensor, rowsOf } from '../../test/numbers.ts';
import { openCpu } from '../cpu/device.ts';
import { logSumExp } from './log-sum-exp.ts';
import { tokenLogProbability } from './token-log-probability.ts';

async function score(logits: HostTensor, tokens: HostTensor): Promise<HostTensor> {
  await using device = openCpu();
  const [y] = await evaluate(device, (a, b) => [tokenLogProbability(a, b)], logits, tokens);
  return y;
}

describe('tokenLogProbability', () => {
  test.each(['f32', 'f16', 'bf16'] as const)('is ln softmax at the token, of %s', async (dtype) => {
    const logits = randomTensor(1, [4, 7], dtype);
    const tokens = [3, 0, 6, 3];
    const y = await score(logits, tensor([4], tokens, 'i32'));
    rowsOf(elementsOf(logits), 7).forEach((row, i) => {
      const total = row.reduce((sum, logit) => sum + Math.exp(logit), 0);
      expect(y.data[i]).toBeCloseTo(Math.log(Math.exp(row[tokens[i]]) / total), 6);
    });
  });

  test('token −1 gives 0', async () => {
    const y = await score(randomTensor(1, [2, 3]), tensor([2], [-1, -1], 'i32'));
    expect([...y.data]).toEqual([0, 0]);
  });

  test('does not overflow, and is never above 0', async () => {
    const y = await score(
      tensor([3, 2], [3e38, -3e38, 3e38, -3e38, 1e4, 0]),
      tensor([3], [0, 1, 0], 'i32'),
    );
    expect([...y.data]).toEqual([0, -Infinity, 0]);
  });

  test('a token that cannot be has −∞, and NaN spreads over its own row', async () => {
    const y = await score(tensor([2, 2], [0, -Infinity, NaN, 0]), tensor([2], [1, 1], 'i32'));
    expect([...y.data]).toEqual([-Infinity, NaN]);
  });

  test('refuses what does not fit', async () => {
    const tokens = tensor([2], [0, 0], 'i32');
    await expect(score(randomTensor(1, [3, 4]), tokens)).rejects.toThrow(ShapeError);
    await expect(score(randomTensor(1, [3, 4]), tokens)).rejects.toThrow(
      'tokenLogProbability(logits f32[3, 4], tokens i32[2]): tokens must be i32[3]',
    );
    await expect(score(tensor([2, 1], [1, 2], 'i32'), tokens)).rejects.toThrow('floating dtype');
  });
});

describe('logSumExp', () => {
  test('is ln Σ eˣ', () => {
    expect(logSumExp(Float64Array.of(0, Math.log(3)))).toBeCloseTo(Math.log(4), 14);
    expect(logSumExp(Float64Array.of(1000, 1000))).toBeCloseTo(1000 + Math.LN2, 12);
  });

  test('of nothing, or of −∞ alone, is −∞; with ∞ it is ∞ and with NaN it is NaN', () => {
    expect(logSumExp(new Float64Array(0))).toBe(-Infinity);
    expect(logSumExp(Float64Array.of(-Infinity, -Infinity))).toBe(-Infinity);
    expect(logSumExp(Float64Array.of(1, Infinity))).toBe(Infinity);
    expect(logSumExp(Float64Array.of(NaN, 1))).toBeNaN();
    expect(logSumExp(Float64Array.of(1, NaN))).toBeNaN();
  });
});
