import { defineOp, elementCount, isPacked, type Value } from '@rwkv-js/tensor';

/** The same elements under another shape with as many of them. Costs nothing on any device. */
export const reshape = defineOp<(x: Value, attributes: { shape: readonly number[] }) => Value>({
  name: 'reshape',
  arguments: ['x'],
  infer([x], { shape }, fail) {
    if (elementCount(x!.shape) !== elementCount(shape)) {
      fail(`shape [${shape.join(', ')}] must hold as many elements as x`);
    }
    if (isPacked(x!.dtype) && !(x!.dtype.axis === -1 && shape.at(-1) === x!.shape.at(-1))) {
      fail('the axis that blocks run along must be the last and stay as it is');
    }
    return [{ dtype: x!.dtype, shape }];
  },
  view: true,
  reference({ inputs, outputs }) {
    outputs[0]!.data.set(inputs[0]!.data);
  },
  gradient: ({ inputs: [x], cotangents: [y] }): readonly Value[] => [
    reshape(y!, { shape: x!.shape }),
  ],
  operations: () => 0,
});
