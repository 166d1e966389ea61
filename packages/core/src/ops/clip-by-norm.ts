import { defineOp, type Value } from '@rwkv-js/tensor';
import { floats } from './floats.ts';
import { expectFloats, likeX } from './shape-rules.ts';

/**
 * x scaled down so that a norm that it is a part of does not exceed `limit`: y = x · min(1, limit / norm).
 *
 * x: any shape; norm: []. Result: f32, the shape of x.
 */
export const clipByNorm = defineOp<(x: Value, norm: Value, attributes: { limit: number }) => Value>(
  {
    name: 'clipByNorm',
    arguments: ['x', 'norm'],
    infer(inputs, { limit }, fail) {
      if (!(limit > 0)) fail(`limit = ${limit} must be above 0`);
      expectFloats(inputs[1]!, 'norm', [], '[]', fail);
      return likeX(inputs, {}, fail);
    },
    reference({ inputs, outputs, attributes: { limit } }) {
      const x = floats(inputs[0]!);
      const norm = inputs[1]!.data[0]!;
      const factor = norm > limit ? limit / norm : 1;
      const y = outputs[0]!.data;
      for (let i = 0; i < y.length; i++) y[i] = x[i]! * factor;
    },
    inPlace: [[0, 0]],
  },
);
