import { defineOp, sameShape, type Value } from '@rwkv-js/tensor';
import { floats } from './floats.ts';
import { likeX } from './shape-rules.ts';

/** The gradient of `relu`: what flows back where x is above 0, and 0 elsewhere. Any shape, the same. */
export const reluBackward = defineOp<(x: Value, cotangent: Value) => Value>({
  name: 'reluBackward',
  arguments: ['x', 'cotangent'],
  infer(inputs, attributes, fail) {
    if (!sameShape(inputs[0]!.shape, inputs[1]!.shape)) fail('both must have the same shape');
    return likeX(inputs, attributes, fail);
  },
  reference({ inputs, outputs }) {
    const [x, cotangent] = [floats(inputs[0]!), floats(inputs[1]!)];
    const y = outputs[0]!.data;
    for (let i = 0; i < y.length; i++) y[i] = x[i]! > 0 ? cotangent[i]! : 0;
  },
});
