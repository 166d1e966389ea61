import { defineOp, type Value } from '@rwkv-js/tensor';
import { expand } from './floats.ts';
import { broadcast } from './shape-rules.ts';
import { sumToShape } from './sum-to.ts';

/** Product element by element, y = a · b. Shapes broadcast from the last axis. */
export const multiply = defineOp<(a: Value, b: Value) => Value>({
  name: 'multiply',
  arguments: ['a', 'b'],
  infer: broadcast,
  reference({ inputs, outputs }) {
    const { data: y, shape } = outputs[0]!;
    const a = expand(inputs[0]!, shape);
    const b = expand(inputs[1]!, shape);
    for (let i = 0; i < y.length; i++) y[i] = a[i]! * b[i]!;
  },
  gradient: ({ inputs: [a, b], cotangents: [y] }): readonly Value[] => [
    sumToShape(multiply(y!, b!), a!.shape),
    sumToShape(multiply(y!, a!), b!.shape),
  ],
});
