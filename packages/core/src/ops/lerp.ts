import { defineOp, elementCount, isFloating, sameShape, type Value } from '@rwkv-js/tensor';
import { broadcastShape, expand, floats } from './floats.ts';
import { multiply } from './multiply.ts';
import { likeX } from './shape-rules.ts';
import { subtract } from './subtract.ts';
import { sumToShape } from './sum-to.ts';

/**
 * The way from x to y by `amount`: x + (y − x) · amount. Amount 0 gives x, 1 gives y.
 *
 * x, y: any shape, the same; amount: broadcasts to it from the last axis.
 * It is how RWKV mixes a token with the one before (specification, notation of token shift).
 */
export const lerp = defineOp<(x: Value, y: Value, amount: Value) => Value>({
  name: 'lerp',
  arguments: ['x', 'y', 'amount'],
  infer(inputs, attributes, fail) {
    const [x, y, amount] = inputs;
    if (!inputs.every(({ dtype }) => isFloating(dtype))) fail('all must be of a floating dtype');
    if (!sameShape(x!.shape, y!.shape)) fail('x and y must have the same shape');
    const all = broadcastShape(x!.shape, amount!.shape);
    if (!all || !sameShape(all, x!.shape)) fail('amount must broadcast to the shape of x');
    return likeX(inputs, attributes, fail);
  },
  reference({ inputs, outputs }) {
    const { data: result, shape } = outputs[0]!;
    const x = floats(inputs[0]!);
    const y = floats(inputs[1]!);
    const amount = expand(inputs[2]!, shape);
    for (let i = 0; i < result.length; i++) result[i] = x[i]! + (y[i]! - x[i]!) * amount[i]!;
  },
  gradient({ inputs: [x, y, amount], cotangents: [flow] }) {
    const toY = multiply(flow!, amount!);
    const toAmount = multiply(flow!, subtract(y!, x!));
    return [subtract(flow!, toY), sumToShape(toY, y!.shape), sumToShape(toAmount, amount!.shape)];
  },
  operations: ([x]) => 3 * elementCount(x!.shape),
});
