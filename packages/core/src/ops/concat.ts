import { defineOp, elementCount, sameDType, type Value } from '@rwkv-js/tensor';
import { betweenBlocks, planeAxis, planesOf } from './planes.ts';
import { slice } from './slice.ts';

/**
 * Tensors one after another along an axis, which counts from 0. All other axes have the same sizes;
 * any dtype, the same for all; elements are moved, not changed.
 */
export const concat = defineOp<(parts: readonly Value[], attributes: { axis: number }) => Value>({
  name: 'concat',
  arguments: ['part'],
  infer(parts, { axis }, fail) {
    const [first] = parts;
    const others = (shape: readonly number[]): string => shape.with(axis, 0).join();
    for (const part of parts) {
      if (part.shape[axis] === undefined || others(part.shape) !== others(first!.shape)) {
        fail(`parts must have the same sizes but along axis ${axis}`);
      }
      if (!sameDType(part.dtype, first!.dtype)) fail('parts must have the same dtype');
      if (!betweenBlocks(part.dtype, axis, part.shape.length, part.shape[axis]!)) {
        fail('blocks must stay whole');
      }
    }
    const size = parts.reduce((total, part) => total + part.shape[axis]!, 0);
    return [{ dtype: first!.dtype, shape: first!.shape.with(axis, size) }];
  },
  reference({ inputs, outputs, attributes: { axis } }) {
    const along = planeAxis(outputs[0]!.dtype, axis, outputs[0]!.shape.length);
    const parts = inputs.map(planesOf);
    planesOf(outputs[0]!).forEach((y, plane) => {
      const stride = elementCount(y.shape.slice(along));
      let start = 0;
      for (const part of parts) {
        const { data, shape } = part[plane]!;
        const run = elementCount(shape.slice(along));
        for (let from = 0, to = start; from < data.length; from += run, to += stride) {
          y.data.set(data.subarray(from, from + run), to);
        }
        start += run;
      }
    });
  },
  gradient({ inputs, attributes: { axis }, cotangents: [y] }) {
    let end = 0;
    return inputs.map(({ shape }) => {
      const start = end;
      end += shape[axis]!;
      return slice(y!, { axis, start, end });
    });
  },
  operations: () => 0,
});
