import { defineOp, elementCount, isFloating, type Value } from '@rwkv-js/tensor';
import { widenRow, type Floats } from './floats.ts';
import { matrix } from './shape-rules.ts';

/**
 * Matrix product with a weight matrix as torch's `Linear` stores it: y[t, o] = Σ_i x[t, i] · W[o, i].
 *
 * x: [tokens, in], f32; weight: [out, in], f32, f16 or bf16, which stays as it is in memory.
 * Result: f32 [tokens, out]. A row of the result depends on its row of x alone.
 */
export const linear = defineOp<(x: Value, weight: Value) => Value>({
  name: 'linear',
  arguments: ['x', 'weight'],
  infer([x, weight], _, fail) {
    const [tokens, width] = matrix(x!, 'x', fail);
    const [out, input] = matrix(weight!, 'weight', fail);
    if (x!.dtype !== 'f32' || !isFloating(weight!.dtype)) fail('x must be f32, weight floating');
    if (width !== input) fail('x [tokens, in] and weight [out, in] must have the same in');
    return [{ dtype: 'f32', shape: [tokens, out] }];
  },
  reference({ inputs, outputs }) {
    const [x, weight] = [inputs[0]!, inputs[1]!];
    const [tokens, width] = [x.shape[0]!, x.shape[1]!];
    const out = weight.shape[0]!;
    const rows = x.data as Floats;
    const y = outputs[0]!.data;
    const narrow = weight.data instanceof Uint16Array;
    const widened = new Float32Array(narrow ? width : 0);
    // A row of the matrix is read once and serves every token.
    for (let o = 0; o < out; o++) {
      if (narrow) widenRow(weight, o * width, width, widened);
      const row = narrow ? widened : (weight.data as Floats);
      const start = narrow ? 0 : o * width;
      for (let t = 0; t < tokens; t++) {
        y[t * out + o] = dot(rows, t * width, row, start, width);
      }
    }
  },
  operations: ([x, weight]) => 2 * x!.shape[0]! * elementCount(weight!.shape),
});

/** Four running sums let the processor start a product before the one before has ended. */
function dot(a: Floats, aStart: number, b: Floats, bStart: number, count: number): number {
  let sum0 = 0;
  let sum1 = 0;
  let sum2 = 0;
  let sum3 = 0;
  let i = 0;
  for (; i + 3 < count; i += 4) {
    sum0 += a[aStart + i]! * b[bStart + i]!;
    sum1 += a[aStart + i + 1]! * b[bStart + i + 1]!;
    sum2 += a[aStart + i + 2]! * b[bStart + i + 2]!;
    sum3 += a[aStart + i + 3]! * b[bStart + i + 3]!;
  }
  for (; i < count; i++) sum0 += a[aStart + i]! * b[bStart + i]!;
  return sum0 + sum1 + (sum2 + sum3);
}
