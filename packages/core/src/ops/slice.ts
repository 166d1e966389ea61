import { defineOp, elementCount, type Value } from '@rwkv-js/tensor';
import { pad } from './pad.ts';

/**
 * Part of a tensor along one axis: elements `start` to `end` (not included). The axis counts from 0;
 * any dtype; elements are moved, not changed.
 */
export const slice = defineOp<
  (x: Value, attributes: { axis: number; start: number; end: number }) => Value
>({
  name: 'slice',
  arguments: ['x'],
  infer([x], { axis, start, end }, fail) {
    const size = x!.shape[axis] ?? 0;
    const whole = Number.isInteger(start) && Number.isInteger(end);
    if (!(whole && 0 <= start && start < end && end <= size)) {
      fail(`axis ${axis} from ${start} to ${end} must be a part of x`);
    }
    return [{ dtype: x!.dtype, shape: x!.shape.with(axis, end - start) }];
  },
  reference({ inputs: [x], outputs, attributes: { axis, start, end } }) {
    const y = outputs[0]!.data;
    const inner = elementCount(x!.shape.slice(axis + 1));
    const run = (end - start) * inner;
    for (
      let from = start * inner, to = 0;
      to < y.length;
      from += x!.shape[axis]! * inner, to += run
    ) {
      for (let i = 0; i < run; i++) y[to + i] = x!.data[from + i]!;
    }
  },
  gradient: ({ inputs: [x], attributes: { axis, start }, cotangents: [y] }) => [
    pad(y!, { axis, start, size: x!.shape[axis]! }),
  ],
  operations: () => 0,
});
