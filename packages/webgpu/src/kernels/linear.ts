import type { OperationView } from '@rwkv-js/tensor';
import type { Kernel, KernelMaker } from '../kernel.ts';
import { columns, layoutOf } from '../layouts.ts';
import { isByColumns } from './matrix.ts';
import { kernelOf } from './products.ts';

/** y [tokens, out] = x [tokens, in] · weightᵀ, weight [out, in], with a function of each result. */
const product =
  (finish: (value: string) => string): KernelMaker =>
  (view: OperationView, capabilities): Kernel => {
    const { inputs, outputs } = view;
    const [tokens, out] = outputs[0]!.shape as [number, number];
    const depth = inputs[0]!.shape[1]!;
    return kernelOf({
      faint: view.attributes['faint'] === true,
      tokens,
      inputs,
      capabilities,
      products: [
        {
          x: 0,
          weight: 1,
          firstRow: 0,
          firstColumn: 0,
          depth,
          firstOut: 0,
          out,
          transposed: isByColumns(inputs[1]!) || layoutOf(view, 1) === columns,
          store: ({ outputs: [y] }) => `${y!.name}[t * ${out}u + o] = ${finish('value')};`,
        },
      ],
    });
  };

const plain = product((value) => value);

/** Kernels by the name of their operation. */
export const linearKernels: Readonly<Record<string, KernelMaker>> = {
  linear: plain,
  linearOfSparse: plain,
  linearSquaredRelu: product((value) => `max(${value}, 0.0) * max(${value}, 0.0)`),
};
