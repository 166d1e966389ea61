import { defineOp, elementCount, type Value } from '@rwkv-js/tensor';
import { floats, type Floats } from './floats.ts';
import { logSumExp } from './log-sum-exp.ts';
import { expectFloats, expectIndexes, floatMatrix } from './shape-rules.ts';

/**
 * The gradient of `tokenLogProbability`: dlogits[r] = cotangent[r] (onehot(token) − softmax(logits[r]));
 * rows of token −1 get zeros.
 *
 * logits: [rows, vocabulary]; tokens: i32 [rows]; cotangent: [rows]. Result: f32 [rows, vocabulary].
 */
export const tokenLogProbabilityBackward = defineOp<
  (logits: Value, tokens: Value, cotangent: Value) => Value
>({
  name: 'tokenLogProbabilityBackward',
  arguments: ['logits', 'tokens', 'cotangent'],
  infer([logits, tokens, cotangent], _, fail) {
    const [rows] = floatMatrix(logits!, 'logits', fail);
    expectIndexes(tokens!, 'tokens', rows, fail);
    expectFloats(cotangent!, 'cotangent', [rows], '[rows]', fail);
    return [{ dtype: 'f32', shape: logits!.shape }];
  },
  reference({ inputs: [logits, tokens, cotangent], outputs }) {
    const vocabulary = logits!.shape[1]!;
    const wide = floats(logits!);
    tokens!.data.forEach((token, row) => {
      const [start, end] = [row * vocabulary, (row + 1) * vocabulary];
      const values = wide.subarray(start, end);
      const gradient = (outputs[0]!.data as Floats).subarray(start, end);
      gradientOfRow(values, token, cotangent!.data[row]!, gradient);
    });
  },
  operations: ([logits]) => 4 * elementCount(logits!.shape),
});

/** Writes factor · (onehot(token) − softmax(logits)); zeros where the token is −1. */
export function gradientOfRow(
  logits: Floats,
  token: number,
  factor: number,
  gradient: Floats,
): void {
  if (token < 0) {
    gradient.fill(0);
    return;
  }
  const total = logSumExp(logits);
  for (let i = 0; i < logits.length; i++) {
    gradient[i] = factor * ((i === token ? 1 : 0) - Math.exp(logits[i]! - total));
  }
}
