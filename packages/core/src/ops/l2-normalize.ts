import { defineOp, elementCount, type Value } from '@rwkv-js/tensor';
import { floats } from './floats.ts';
import { l2NormalizeBackward } from './l2-normalize-backward.ts';
import { likeX } from './shape-rules.ts';

/**
 * Every vector along the last axis divided by its length: y = x / max(‖x‖₂, 1e−12). The floor is that
 * of torch's `normalize`, which RWKV-7 uses for its keys.
 *
 * x: [..., n]. Result: f32, the same shape.
 */
export const l2Normalize = defineOp<(x: Value) => Value>({
  name: 'l2Normalize',
  arguments: ['x'],
  infer(inputs, attributes, fail) {
    if (inputs[0]!.shape.length === 0) fail('x must have an axis to normalise along');
    return likeX(inputs, attributes, fail);
  },
  reference({ inputs, outputs }) {
    const x = floats(inputs[0]!);
    const y = outputs[0]!.data;
    const n = inputs[0]!.shape.at(-1)!;
    for (let start = 0; start < y.length; start += n) {
      let squares = 0;
      for (let i = 0; i < n; i++) squares += x[start + i]! ** 2;
      const scale = 1 / Math.max(Math.sqrt(squares), 1e-12);
      for (let i = 0; i < n; i++) y[start + i] = x[start + i]! * scale;
    }
  },
  gradient: ({ inputs: [x], cotangents: [y] }) => [l2NormalizeBackward(x!, y!)],
  operations: ([x]) => 3 * elementCount(x!.shape),
});
