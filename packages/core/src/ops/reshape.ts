import { defineOp, elementCount, type Value } from '@rwkv-js/tensor';

/** The same elements under another shape with as many of them. Costs nothing on any device. */
export const reshape = defineOp<(x: Value, attributes: { shape: readonly number[] }) => Value>({
  name: 'reshape',
  arguments: ['x'],
  infer([x], { shape }, fail) {
    if (elementCount(x!.shape) !== elementCount(shape)) {
      fail(`shape [${shape.join(', ')}] must hold as many elements as x`);
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
