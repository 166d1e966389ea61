import { defineOp, elementCount, type Value } from '@rwkv-js/tensor';
import { floats } from './floats.ts';
import { groupNormBackward } from './group-norm-backward.ts';
import { expectFloats, floatMatrix } from './shape-rules.ts';

/**
 * Layer normalisation of every row: y = (x − mean) / √(variance + epsilon) · weight + bias, with the
 * variance divided by the width (Ba, Kiros and Hinton 2016, arXiv 1607.06450).
 *
 * x: [tokens, width]; weight, bias: [width]. Result: f32 [tokens, width].
 */
export const layerNorm = defineOp<
  (x: Value, weight: Value, bias: Value, attributes: { epsilon: number }) => Value
>({
  name: 'layerNorm',
  arguments: ['x', 'weight', 'bias'],
  infer([x, weight, bias], _, fail) {
    const [tokens, width] = floatMatrix(x!, 'x', fail);
    expectFloats(weight!, 'weight', [width], '[width]', fail);
    expectFloats(bias!, 'bias', [width], '[width]', fail);
    return [{ dtype: 'f32', shape: [tokens, width] }];
  },
  reference({ inputs, outputs, attributes }) {
    const [x, weight, bias] = inputs.map(floats) as [Float32Array, Float32Array, Float32Array];
    const y = outputs[0]!.data;
    const [tokens, width] = inputs[0]!.shape as [number, number];
    for (let start = 0; start < tokens * width; start += width) {
      let mean = 0;
      for (let i = 0; i < width; i++) mean += x[start + i]!;
      mean /= width;
      let variance = 0;
      for (let i = 0; i < width; i++) variance += (x[start + i]! - mean) ** 2;
      const scale = 1 / Math.sqrt(variance / width + attributes.epsilon);
      for (let i = 0; i < width; i++) {
        y[start + i] = (x[start + i]! - mean) * scale * weight[i]! + bias[i]!;
      }
    }
  },
  // Layer norm is group norm with one group.
  gradient: ({ inputs: [x, weight], attributes: { epsilon }, cotangents: [y] }) =>
    groupNormBackward(x!, weight!, y!, { groups: 1, epsilon }),
  operations: ([x]) => 8 * elementCount(x!.shape),
});
