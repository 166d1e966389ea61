import { elementCount } from '@rwkv-js/tensor';
import type { KernelMaker } from '../kernel.ts';
import { flatGroup, gridOf, powerOfTwo, wgsl } from '../wgsl.ts';
import { reduction } from './reduce.ts';

/** Sum along the last axis: a work group for each vector. */
const sum: KernelMaker = ({ inputs }) => {
  const n = inputs[0]!.shape.at(-1)!;
  const count = elementCount(inputs[0]!.shape) / n;
  const threads = powerOfTwo(n, 32, 256);
  return {
    passes: [
      {
        grid: gridOf(count),
        threads,
        source: ({ inputs: [x], outputs: [y] }) => ({
          module: reduction('total', threads),
          main: wgsl`
  let part = ${flatGroup};
  if (part >= ${count}u) { return; }
  var own = 0.0;
  for (var i = thread; i < ${n}u; i += ${threads}u) { own += ${x!.at(`part * ${n}u + i`)}; }
  let all = total(own, thread);
  if (thread == 0u) { ${y!.name}[part] = all; }`,
        }),
      },
    ],
  };
};

/** The sum of all squares: up to 256 work groups leave their parts in the working memory, one adds them. */
const sumOfSquares: KernelMaker = ({ inputs }) => {
  const count = elementCount(inputs[0]!.shape);
  const threads = 256;
  const parts = Math.min(256, Math.ceil(count / threads));
  return {
    scratchBytes: 4 * parts,
    passes: [
      {
        grid: gridOf(parts),
        threads,
        source: ({ inputs: [x], scratch }) => ({
          module: reduction('total', threads),
          main: wgsl`
  var own = 0.0;
  for (var i = group.x * ${threads}u + thread; i < ${count}u; i += ${parts * threads}u) {
    let value = ${x!.at('i')};
    own += value * value;
  }
  let all = total(own, thread);
  if (thread == 0u) { ${scratch}[group.x] = all; }`,
        }),
      },
      {
        grid: [1, 1, 1],
        threads,
        source: ({ outputs: [y], scratch }) => ({
          module: reduction('total', threads),
          main: wgsl`
  var own = 0.0;
  if (thread < ${parts}u) { own = ${scratch}[thread]; }
  let all = total(own, thread);
  if (thread == 0u) { ${y!.name}[0] = all; }`,
        }),
      },
    ],
  };
};

/** Sum over the axes along which the result would repeat: a thread for each element of the result. */
const sumTo: KernelMaker = ({ inputs, outputs }) => {
  const from = inputs[0]!.shape;
  const to = outputs[0]!.shape;
  const count = elementCount(to);
  const sizes = from.map((size, axis) => [size, to[axis - from.length + to.length] ?? 1] as const);
  const stride = (axis: number, of: 0 | 1): number =>
    sizes.slice(axis + 1).reduce((all, pair) => all * pair[of], 1);
  const kept = sizes.flatMap(([size, own], axis) =>
    own === size ? [`(o / ${stride(axis, 1)}u) % ${size}u * ${stride(axis, 0)}u`] : [],
  );
  const loops = sizes.flatMap(([size, own], axis) => (own === size ? [] : [{ size, axis }]));
  return {
    passes: [
      {
        grid: gridOf(Math.ceil(count / 64)),
        threads: 64,
        source: ({ inputs: [x], outputs: [y] }) => ({
          main: wgsl`
  let o = ${flatGroup} * 64u + thread;
  if (o >= ${count}u) { return; }
  let first = ${kept.join(' + ') || '0u'};
  var all = 0.0;
  ${loops.map(({ size, axis }) => `for (var i${axis} = 0u; i${axis} < ${size}u; i${axis}++) {`).join(' ')}
    all += ${x!.at(['first', ...loops.map(({ axis }) => `i${axis} * ${stride(axis, 0)}u`)].join(' + '))};
  ${'}'.repeat(loops.length)}
  ${y!.name}[o] = all;`,
        }),
      },
    ],
  };
};

/** Kernels by the name of their operation. */
export const sumKernels: Readonly<Record<string, KernelMaker>> = { sum, sumOfSquares, sumTo };
