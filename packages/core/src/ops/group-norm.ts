import { defineOp, elementCount, type Value } from '@rwkv-js/tensor';
import { floats } from './floats.ts';
import { groupNormBackward } from './group-norm-backward.ts';
import { expectFloats, floatMatrix } from './shape-rules.ts';

/**
 * Group normalisation of every row: the width is cut into `groups` equal parts (the heads of RWKV),
 * and each part is normalised by its own mean and variance, then scaled and shifted per channel
 * (Wu and He 2018, arXiv 1803.08494).
 *
 * x: [tokens, width]; weight, bias: [width]; groups divides width. Result: f32 [tokens, width].
 */
export const groupNorm = defineOp<
  (x: Value, weight: Value, bias: Value, attributes: { groups: number; epsilon: number }) => Value
>({
  name: 'groupNorm',
  arguments: ['x', 'weight', 'bias'],
  infer([x, weight, bias], { groups }, fail) {
    const [tokens, width] = floatMatrix(x!, 'x', fail);
    if (!(Number.isInteger(groups) && groups > 0 && width % groups === 0)) {
      fail(`groups = ${groups} must be a whole number that divides the width of x`);
    }
    expectFloats(weight!, 'weight', [width], '[width]', fail);
    expectFloats(bias!, 'bias', [width], '[width]', fail);
    return [{ dtype: 'f32', shape: [tokens, width] }];
  },
  reference({ inputs, outputs, attributes: { groups, epsilon } }) {
    const [x, weight, bias] = inputs.map(floats) as [Float32Array, Float32Array, Float32Array];
    const y = outputs[0]!.data;
    const width = weight.length;
    const size = width / groups;
    for (let start = 0; start < y.length; start += size) {
      let mean = 0;
      for (let i = 0; i < size; i++) mean += x[start + i]!;
      mean /= size;
      let variance = 0;
      for (let i = 0; i < size; i++) variance += (x[start + i]! - mean) ** 2;
      const scale = 1 / Math.sqrt(variance / size + epsilon);
      const channel = start % width;
      for (let i = 0; i < size; i++) {
        y[start + i] = (x[start + i]! - mean) * scale * weight[channel + i]! + bias[channel + i]!;
      }
    }
  },
  gradient: ({ inputs: [x, weight], attributes, cotangents: [y] }) =>
    groupNormBackward(x!, weight!, y!, attributes),
  operations: ([x]) => 8 * elementCount(x!.shape),
});
