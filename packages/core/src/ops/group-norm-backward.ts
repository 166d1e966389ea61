import { defineOp, elementCount, sameShape, type Value } from '@rwkv-js/tensor';
import { floats } from './floats.ts';
import { expectFloats, matrix } from './shape-rules.ts';

/**
 * The gradients of `groupNorm`, and with one group of `layerNorm`. With x̂ the normalised x, ρ one over
 * the deviation, e = cotangent ⊙ weight, and means over a group:
 *
 *     dx = ρ (e − mean e − x̂ mean(e ⊙ x̂))      dweight = Σ cotangent ⊙ x̂      dbias = Σ cotangent
 *
 * x, cotangent: [tokens, width]; weight: [width]. Results: dx [tokens, width], dweight and dbias [width],
 * summed over the rows in their order. Specification: RWKV-7, backward of the time mix.
 */
export const groupNormBackward = defineOp<
  (
    x: Value,
    weight: Value,
    cotangent: Value,
    attributes: { groups: number; epsilon: number },
  ) => readonly [x: Value, weight: Value, bias: Value]
>({
  name: 'groupNormBackward',
  arguments: ['x', 'weight', 'cotangent'],
  infer([x, weight, cotangent], { groups }, fail) {
    const [, width] = matrix(x!, 'x', fail);
    if (width % groups !== 0) fail(`groups = ${groups} must divide the width of x`);
    if (!sameShape(x!.shape, cotangent!.shape)) fail('x and cotangent must have the same shape');
    expectFloats(weight!, 'weight', [width], '[width]', fail);
    const vector = { dtype: 'f32', shape: [width] } as const;
    return [{ dtype: 'f32', shape: x!.shape }, vector, vector];
  },
  reference({ inputs, outputs, attributes: { groups, epsilon } }) {
    const [x, weight, cotangent] = inputs.map(floats) as [Float32Array, Float32Array, Float32Array];
    const dx = outputs[0]!.data;
    const width = weight.length;
    const size = width / groups;
    const weightSums = new Float64Array(width);
    const biasSums = new Float64Array(width);
    for (let start = 0; start < dx.length; start += size) {
      const channel = start % width;
      let mean = 0;
      for (let i = 0; i < size; i++) mean += x[start + i]!;
      mean /= size;
      let variance = 0;
      for (let i = 0; i < size; i++) variance += (x[start + i]! - mean) ** 2;
      const scale = 1 / Math.sqrt(variance / size + epsilon);
      let meanOfE = 0;
      let meanOfProduct = 0;
      for (let i = 0; i < size; i++) {
        const normed = (x[start + i]! - mean) * scale;
        const flowing = cotangent[start + i]!;
        weightSums[channel + i]! += flowing * normed;
        biasSums[channel + i]! += flowing;
        meanOfE += flowing * weight[channel + i]!;
        meanOfProduct += flowing * weight[channel + i]! * normed;
      }
      meanOfE /= size;
      meanOfProduct /= size;
      for (let i = 0; i < size; i++) {
        const normed = (x[start + i]! - mean) * scale;
        const e = cotangent[start + i]! * weight[channel + i]!;
        dx[start + i] = scale * (e - meanOfE - normed * meanOfProduct);
      }
    }
    outputs[1]!.data.set(weightSums);
    outputs[2]!.data.set(biasSums);
  },
  operations: ([x]) => 18 * elementCount(x!.shape),
});
