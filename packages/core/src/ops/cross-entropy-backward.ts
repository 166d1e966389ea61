import { defineOp, elementCount, type Value } from '@rwkv-js/tensor';
import { floats, type Floats } from './floats.ts';
import { expectFloats, expectIndexes, floatMatrix } from './shape-rules.ts';
import { gradientOfRow } from './token-log-probability-backward.ts';

/**
 * The gradient of `crossEntropy`: (softmax(logits[r]) − onehot(target)) · cotangent / number of targets;
 * masked rows get zeros. The place m of a row's largest logit, the first of several, gets
 * l2Wrap · logits[r, m] more, times the same.
 *
 * logits: [rows, vocabulary]; targets: i32 [rows]; cotangent: of the loss, []. Result: f32 [rows,
 * vocabulary]. Specification: training, loss.
 */
export const crossEntropyBackward = defineOp<
  (
    logits: Value,
    targets: Value,
    cotangent: Value,
    attributes: { readonly l2Wrap: number },
  ) => Value
>({
  name: 'crossEntropyBackward',
  arguments: ['logits', 'targets', 'cotangent'],
  infer([logits, targets, cotangent], _, fail) {
    const [rows] = floatMatrix(logits!, 'logits', fail);
    expectIndexes(targets!, 'targets', rows, fail);
    expectFloats(cotangent!, 'cotangent', [], '[]', fail);
    return [{ dtype: 'f32', shape: logits!.shape }];
  },
  reference({ inputs: [logits, targets, cotangent], outputs, attributes: { l2Wrap } }) {
    const vocabulary = logits!.shape[1]!;
    const wide = floats(logits!);
    const tokens = targets!.data as Int32Array;
    const count = tokens.reduce((sum, token) => sum + (token < 0 ? 0 : 1), 0);
    const share = cotangent!.data[0]! / count;
    tokens.forEach((token, row) => {
      const [start, end] = [row * vocabulary, (row + 1) * vocabulary];
      const values = wide.subarray(start, end);
      const gradient = (outputs[0]!.data as Floats).subarray(start, end);
      gradientOfRow(values, token, -share, gradient);
      if (token < 0 || l2Wrap === 0) return;
      let largest = 0;
      for (let i = 1; i < vocabulary; i++) if (values[i]! > values[largest]!) largest = i;
      gradient[largest]! += l2Wrap * values[largest]! * share;
    });
  },
  operations: ([logits]) => 4 * elementCount(logits!.shape),
});
