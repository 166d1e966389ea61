import { defineOp, elementCount, type Value } from '@rwkv-js/tensor';
import { crossEntropyBackward } from './cross-entropy-backward.ts';
import { floats } from './floats.ts';
import { logSumExp } from './log-sum-exp.ts';
import { expectIndexes, floatMatrix } from './shape-rules.ts';

/**
 * The loss of a language model: −ln of the probability of the target, its mean over the rows that have
 * one. Rows of target −1 are masked; where all are, the loss is 0.
 *
 * logits: [rows, vocabulary]; targets: i32 [rows], each −1 or a token (callers check). Result: f32 [], in
 * nats. Specification: training, loss.
 *
 * `l2Wrap`, where it is not 0, draws the largest logit of each row towards 0, in the gradient alone.
 */
export const crossEntropy = defineOp<
  (logits: Value, targets: Value, attributes: { readonly l2Wrap: number }) => Value
>({
  name: 'crossEntropy',
  arguments: ['logits', 'targets'],
  infer([logits, targets], _, fail) {
    const [rows] = floatMatrix(logits!, 'logits', fail);
    expectIndexes(targets!, 'targets', rows, fail);
    return [{ dtype: 'f32', shape: [] }];
  },
  reference({ inputs: [logits, targets], outputs }) {
    const vocabulary = logits!.shape[1]!;
    const wide = floats(logits!);
    let total = 0;
    let count = 0;
    targets!.data.forEach((target, row) => {
      if (target < 0) return;
      const values = wide.subarray(row * vocabulary, (row + 1) * vocabulary);
      total += logSumExp(values) - values[target]!;
      count += 1;
    });
    outputs[0]!.data[0] = count === 0 ? 0 : total / count;
  },
  gradient: ({ inputs: [logits, targets], attributes, cotangents: [loss] }) => [
    crossEntropyBackward(logits!, targets!, loss!, attributes),
    undefined,
  ],
  operations: ([logits]) => 3 * elementCount(logits!.shape),
});
