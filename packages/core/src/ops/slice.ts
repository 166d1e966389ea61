import { defineOp, elementCount, type Value } from '@rwkv-js/tensor';
import { pad } from './pad.ts';
import { betweenBlocks, planeAxis, planesOf } from './planes.ts';

/**
 * Part of a tensor along one axis: elements `start` to `end` (not included). The axis counts from 0;
 * any dtype, packed ones between blocks; elements are moved, not changed.
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
    for (const place of [start, end]) {
      if (!betweenBlocks(x!.dtype, axis, x!.shape.length, place)) fail('blocks must stay whole');
    }
    return [{ dtype: x!.dtype, shape: x!.shape.with(axis, end - start) }];
  },
  reference({ inputs: [x], outputs, attributes: { axis, start, end } }) {
    const targets = planesOf(outputs[0]!);
    const along = planeAxis(x!.dtype, axis, x!.shape.length);
    planesOf(x!).forEach(({ data, shape }, plane) => {
      const y = targets[plane]!.data;
      // An element of a plane may stand for several of the tensor, or the other way round.
      const perPlace = shape[along]! / x!.shape[axis]!;
      const inner = elementCount(shape.slice(along + 1)) * perPlace;
      const run = (end - start) * inner;
      const stride = x!.shape[axis]! * inner;
      for (let from = start * inner, to = 0; to < y.length; from += stride, to += run) {
        y.set(data.subarray(from, from + run), to);
      }
    });
  },
  gradient: ({ inputs: [x], attributes: { axis, start }, cotangents: [y] }) => [
    pad(y!, { axis, start, size: x!.shape[axis]! }),
  ],
  operations: () => 0,
});
