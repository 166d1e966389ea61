import { defineOp, elementCount, type Value } from '@rwkv-js/tensor';
import { floats } from './floats.ts';
import { logSumExp } from './log-sum-exp.ts';
import { expectIndexes, floatMatrix } from './shape-rules.ts';
import { tokenLogProbabilityBackward } from './token-log-probability-backward.ts';

/**
 * The natural logarithm of the probability that a row of logits gives to one token:
 * y[r] = logits[r, token] − ln Σ_i e^logits[r, i]. Token −1 gives 0.
 *
 * logits: [rows, vocabulary]; tokens: i32 [rows], each −1 or a token (callers check).
 * Result: f32 [rows], in nats, at most 0.
 */
export const tokenLogProbability = defineOp<(logits: Value, tokens: Value) => Value>({
  name: 'tokenLogProbability',
  arguments: ['logits', 'tokens'],
  infer([logits, tokens], _, fail) {
    const [rows] = floatMatrix(logits!, 'logits', fail);
    expectIndexes(tokens!, 'tokens', rows, fail);
    return [{ dtype: 'f32', shape: [rows] }];
  },
  reference({ inputs: [logits, tokens], outputs: [y] }) {
    const vocabulary = logits!.shape[1]!;
    const all = floats(logits!);
    tokens!.data.forEach((token, row) => {
      const values = all.subarray(row * vocabulary, (row + 1) * vocabulary);
      y!.data[row] = token < 0 ? 0 : values[token]! - logSumExp(values);
    });
  },
  gradient: ({ inputs: [logits, tokens], cotangents: [y] }) => [
    tokenLogProbabilityBackward(logits!, tokens!, y!),
    undefined,
  ],
  operations: ([logits]) => 3 * elementCount(logits!.shape),
});
