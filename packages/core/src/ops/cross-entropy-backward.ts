import { defineOp, elementCount, type Value } from '@rwkv-js/tensor';
import { floats, type Floats } from './floats.ts';
import { expectFloats, expectIndexes, floatMatrix } from './shape-rules.ts';
import { gradientOfRow } from './token-log-probability-backward.ts';

/**
 * The gradient of `crossEntropy`: (softmax(logits[r]) − onehot(target)) · cotangent / number of targets;
 * masked rows get zeros.
 *
 * logits: [rows, vocabulary]; targets: i32 [rows]; cotangent: of the loss, []. Result: f32 [rows,
 * vocabulary]. Specification: training, loss.
 */
export const crossEntropyBackward = defineOp<
  (logits: Value, targets: Value, cotangent: Value) => Value
>({
  name: 'crossEntropyBackward',
  arguments: ['logits', 'targets', 'cotangent'],
  infer([logits, targets, cotangent], _, fail) {
    const [rows] = floatMatrix(logits!, 'logits', fail);
    expectIndexes(targets!, 'targets', rows, fail);
    expectFloats(cotangent!, 'cotangent', [], '[]', fail);
    return [{ dtype: 'f32', shape: logits!.shape }];
  },
  reference({ inputs: [logits, targets, cotangent], outputs }) {
    const vocabulary = logits!.shape[1]!;
    const wide = floats(logits!);
    const tokens = targets!.data as Int32Array;
    const count = tokens.reduce((sum, token) => sum + (token < 0 ? 0 : 1), 0);
    tokens.forEach((token, row) => {
      const [start, end] = [row * vocabulary, (row + 1) * vocabulary];
      const values = wide.subarray(start, end);
      const gradient = (outputs[0]!.data as Floats).subarray(start, end);
      gradientOfRow(values, token, -cotangent!.data[0]! / count, gradient);
    });
  },
  operations: ([logits]) => 4 * elementCount(logits!.shape),
});
