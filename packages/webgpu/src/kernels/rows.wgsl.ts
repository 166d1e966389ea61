import { byteLength, elementCount } from '@rwkv-js/tensor';
import type { KernelMaker } from '../kernel.ts';
import { flatGroup, gridOf, wgsl } from '../wgsl.ts';

const threads = 64;

/**
 * y[i] = table[indexes[i]], of any floating dtype. A thread an element. Where the table is a part of a larger one
 * that begins with row `first`, rows that it lacks are those of the third input; without one zeros, as for −1.
 */
const gatherRows: KernelMaker = ({ inputs, outputs, attributes }) => {
  const { first = 0 } = attributes as { first?: number };
  const width = inputs[0]!.shape[1]!;
  const count = elementCount(outputs[0]!.shape);
  const rows = byteLength({ ...inputs[0]!, shape: [outputs[0]!.shape[0]!, width] });
  return {
    passes: [
      {
        grid: gridOf(Math.ceil(count / threads)),
        threads,
        source: ({ inputs: [table, indexes, others], outputs: [y] }) => ({
          main: wgsl`
  let i = ${flatGroup} * ${threads}u + thread;
  if (i >= ${count}u) { return; }
  let index = ${indexes!.at(`i / ${width}u`)} - ${first};
  var value = ${others ? others.at('i') : '0.0'};
  if (index >= 0 && index < ${inputs[0]!.shape[0]!}) { value = ${table!.at(`u32(index) * ${width}u + i % ${width}u`)}; }
  ${y!.name}[i] = value;`,
        }),
      },
    ],
    cost: {
      bytesRead: rows + byteLength(inputs[1]!) + (inputs[2] ? byteLength(inputs[2]) : 0),
      operations: 0,
    },
  };
};

/** y[index[i]] += x[i] from zeros. A thread for each element of y, which adds its rows in their order. */
const scatterRows: KernelMaker = ({ inputs, outputs }) => {
  const [n, width] = inputs[0]!.shape as [number, number];
  const count = elementCount(outputs[0]!.shape);
  return {
    passes: [
      {
        grid: gridOf(Math.ceil(count / threads)),
        threads,
        source: ({ inputs: [x, indexes], outputs: [y] }) => ({
          main: wgsl`
  let i = ${flatGroup} * ${threads}u + thread;
  if (i >= ${count}u) { return; }
  var all = 0.0;
  for (var row = 0u; row < ${n}u; row++) {
    if (${indexes!.at('row')} == i32(i / ${width}u)) { all += ${x!.at(`row * ${width}u + i % ${width}u`)}; }
  }
  ${y!.name}[i] = all;`,
        }),
      },
    ],
  };
};

/** Kernels by the name of their operation. */
export const rowKernels: Readonly<Record<string, KernelMaker>> = {
  gatherRows,
  gatherRowsOfPart: gatherRows,
  scatterRows,
};
