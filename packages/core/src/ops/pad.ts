import { defineOp, elementCount, type Value } from '@rwkv-js/tensor';

/**
 * x between zeros along one axis, which then has `size` elements, x from `start` on: what flows back
 * through `slice`. The axis counts from 0; elements are moved, not changed. f32.
 */
export const pad = defineOp<
  (x: Value, attributes: { axis: number; start: number; size: number }) => Value
>({
  name: 'pad',
  arguments: ['x'],
  infer([x], { axis, start, size }, fail) {
    const own = x!.shape[axis] ?? Infinity;
    if (x!.dtype !== 'f32' || !(axis >= 0 && start >= 0 && start + own <= size)) {
      fail(`x must be f32 and fit from ${start} into ${size} along axis ${axis}`);
    }
    return [{ dtype: 'f32', shape: x!.shape.with(axis, size) }];
  },
  reference({ inputs: [x], outputs, attributes: { axis, start } }) {
    const { data, shape } = outputs[0]!;
    const inner = elementCount(shape.slice(axis + 1));
    const run = x!.shape[axis]! * inner;
    data.fill(0);
    for (let from = 0, to = start * inner; from < x!.data.length; from += run) {
      data.set(x!.data.subarray(from, from + run), to);
      to += shape[axis]! * inner;
    }
  },
  operations: () => 0,
});
