import { byteLength, elementCount } from '@rwkv-js/tensor';
import type { KernelMaker } from '../kernel.ts';
import { flatGroup, gridOf, wgsl } from '../wgsl.ts';

const threads = 64;

/** y[i] = table[indexes[i]], zeros for −1. table: [rows, width] of any floating dtype. A thread an element. */
const gatherRows: KernelMaker = ({ inputs, outputs }) => {
  const width = inputs[0]!.shape[1]!;
  const count = elementCount(outputs[0]!.shape);
  const rows = byteLength({ ...inputs[0]!, shape: [outputs[0]!.shape[0]!, width] });
  return {
    passes: [
      {
        grid: gridOf(Math.ceil(count / threads)),
        threads,
        source: ({ inputs: [table, indexes], outputs: [y] }) => ({
          main: wgsl`
  let i = ${flatGroup} * ${threads}u + thread;
  if (i >= ${count}u) { return; }
  let index = ${indexes!.at(`i / ${width}u`)};
  var value = 0.0;
  if (index >= 0) { value = ${table!.at(`u32(index) * ${width}u + i % ${width}u`)}; }
  ${y!.name}[i] = value;`,
        }),
      },
    ],
    cost: { bytesRead: rows + byteLength(inputs[1]!), operations: 0 },
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
export const rowKernels: Readonly<Record<string, KernelMaker>> = { gatherRows, scatterRows };
