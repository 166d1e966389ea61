import { defineOp } from './op.ts';
import type { Value } from './record.ts';
import { sameSpec } from './spec.ts';

/**
 * Sum of one or two tensors of the same shape, element by element; f32. It can be written over the
 * first, which is how gradients are added up in a state. Of one alone it is a copy.
 */
export const accumulate = defineOp<(values: readonly Value[]) => Value>({
  name: 'accumulate',
  arguments: ['value'],
  infer([first, second, ...more], _, fail) {
    const alike = first!.dtype === 'f32' && (!second || sameSpec(first!, second));
    if (!alike || more.length > 0) fail('one f32 value, or two of the same shape, are added');
    return [{ dtype: 'f32', shape: first!.shape }];
  },
  reference({ inputs: [first, second], outputs }) {
    const y = outputs[0]!.data;
    const a = first!.data;
    if (!second) y.set(a);
    else {
      const b = second.data;
      for (let i = 0; i < y.length; i++) y[i] = a[i]! + b[i]!;
    }
  },
  gradient: ({ inputs, cotangents }) => inputs.map(() => cotangents[0]),
  inPlace: [[0, 0]],
});

/**
 * The second tensor written over the first, a state whose new value is an ordinary one: in a program
 * with gradients, much still reads the old one. Same shape and dtype; elements are moved, not changed.
 */
export const assign = defineOp<(target: Value, value: Value) => Value>({
  name: 'assign',
  arguments: ['target', 'value'],
  infer([target, value], _, fail) {
    if (!sameSpec(target!, value!)) fail('both must have the same shape and dtype');
    return [{ dtype: target!.dtype, shape: target!.shape }];
  },
  reference({ inputs: [, value], outputs }) {
    outputs[0]!.data.set(value!.data);
  },
  gradient: ({ cotangents }) => [undefined, cotangents[0]],
  inPlace: [[0, 0]],
  operations: () => 0,
});
