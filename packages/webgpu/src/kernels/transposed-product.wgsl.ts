import type { Pass } from '../kernel.ts';
import { flatGroup, gridOf, wgsl } from '../wgsl.ts';
import { chunkQuads, chunkReader, chunkType, linesOf, unpacking } from './matrix.ts';
import type { Product, Products } from './product.ts';

/** Work groups from which a large accelerator is busy. */
const enoughGroups = 512;

/**
 * Few rows of x [tokens ≤ 4, depth] with a weight that lies as [depth, out]: y[t, o] = Σ_k x[t, k] · W[k, o].
 *
 * A work group takes a block of columns; the threads beside each other read a run of a line, those behind
 * each other take different lines, and lines that meet only zeros of x are not read. Their sums meet in
 * memory of the work group. Where there are few columns and many lines, work groups share the lines of a
 * block and leave parts in the working memory [slices, tokens, out], which a second dispatch adds up.
 */
export function transposedProduct(all: Products): {
  passes: readonly Pass[];
  scratchBytes: number;
} {
  const { products, inputs, tokens, capabilities } = all;
  const threads = Math.min(512, capabilities.threads);
  const across = 8;
  const blocksOf = ({ out }: Product): number => Math.ceil(out / (8 * across));
  const [single] = products;
  const slices =
    products.length > 1
      ? 1
      : Math.max(
          1,
          Math.min(
            Math.ceil(enoughGroups / blocksOf(single!)),
            Math.floor(single!.depth / ((4 * threads) / across)),
          ),
        );
  const starts: number[] = [];
  let groups = 0;
  for (const product of products) {
    starts.push(groups);
    groups += blocksOf(product) * slices;
  }
  const types: Record<number, string> = {};
  for (const { weight } of products) {
    const type = chunkType(inputs[weight]!);
    if (type) types[weight] = type;
  }
  const first: Pass = {
    grid: gridOf(groups),
    threads,
    types,
    source: (args) => {
      const partAt = `parts[(d * ${across}u + (thread >> 3u)) * 2u + ((thread >> 2u) & 1u)][thread & 3u]`;
      return {
        module: wgsl`${unpacking(capabilities)}
var<workgroup> parts: array<vec4f, ${2 * threads}>;
${[...new Set(products.map(({ weight }) => weight))].map((weight) => chunkReader(`chunk_${weight}`, args.inputs[weight]!)).join('\n')}`,
        main: wgsl`
  let group_index = ${flatGroup};
  let across = thread % ${across}u;
  let deep = thread / ${across}u;
  var low: array<vec4f, ${tokens}>;
  var high: array<vec4f, ${tokens}>;
  ${products
    .map((product, p) => {
      const { x, weight, depth, firstRow, firstColumn, firstOut, activation } = product;
      const width = inputs[x]!.shape.at(-1)!;
      const value = (t: number, k: string): string =>
        (activation ?? ((plain: string): string => plain))(
          args.inputs[x]!.at(`${(firstRow + t) * width + firstColumn}u + ${k}`),
        );
      const { chunks } = linesOf(inputs[weight]!);
      const share = Math.ceil(depth / slices);
      const tokensOf = Array.from({ length: tokens }, (_, t) => t);
      return `${p === 0 ? '' : 'else '}if (group_index < ${starts[p]! + blocksOf(product) * slices}u) {
    let place = group_index - ${starts[p]!}u;
    let chunk = (place / ${slices}u) * ${across}u + across;
    let begin = (place % ${slices}u) * ${share}u;
    let end = min(begin + ${share}u, ${depth}u);
    if (chunk < ${chunks}u) {
      // Lines are read four at a time, so that loads wait side by side.
      for (var k = begin + deep; k < end; k += ${4 * (threads / across)}u) {
        ${[0, 1, 2, 3]
          .map(
            (u) =>
              wgsl`let k${u} = min(k + ${u * (threads / across)}u, end - 1u);
        ${tokensOf.map((t) => `var x${t}_${u} = ${value(t, `k${u}`)};`).join(' ')}
        ${u === 0 ? '' : `if (k + ${u * (threads / across)}u >= end) { ${tokensOf.map((t) => `x${t}_${u} = 0.0;`).join(' ')} }`}
        var w${u} = mat2x4f();
        if (${tokensOf.map((t) => `x${t}_${u} != 0.0`).join(' || ')}) { w${u} = chunk_${weight}(${firstOut}u + k${u}, chunk); }`,
          )
          .join('\n        ')}
        ${[0, 1, 2, 3].map((u) => tokensOf.map((t) => `low[${t}] += x${t}_${u} * w${u}[0]; high[${t}] += x${t}_${u} * w${u}[1];`).join(' ')).join('\n        ')}
      }
    }
  }`;
    })
    .join('\n  ')}
  for (var t = 0u; t < ${tokens}u; t++) {
    parts[2u * thread] = low[t];
    parts[2u * thread + 1u] = high[t];
    workgroupBarrier();
    if (thread < ${8 * across}u) {
      var value = 0.0;
      for (var d = 0u; d < ${threads / across}u; d++) { value += ${partAt}; }
      ${products
        .map((product, p) => {
          const [a, b] = chunkQuads(inputs[product.weight]!, 'chunk');
          return `${p === 0 ? '' : 'else '}if (group_index < ${starts[p]! + blocksOf(product) * slices}u) {
        let place = group_index - ${starts[p]!}u;
        let chunk = (place / ${slices}u) * ${across}u + (thread >> 3u);
        let o = 4u * select(${a}, ${b}, (thread & 4u) != 0u) + (thread & 3u);
        if (o < ${product.out}u) { ${
          slices > 1
            ? `${args.scratch}[((place % ${slices}u) * ${tokens}u + t) * ${product.out}u + o] = value;`
            : product.store(args)
        } }
      }`;
        })
        .join('\n      ')}
    }
    workgroupBarrier();
  }`,
      };
    },
  };
  if (slices === 1) return { passes: [first], scratchBytes: 0 };
  const cells = tokens * single!.out;
  const second: Pass = {
    grid: gridOf(Math.ceil(cells / 64)),
    threads: 64,
    source: (args) => ({
      main: wgsl`
  let cell = ${flatGroup} * 64u + thread;
  if (cell >= ${cells}u) { return; }
  var value = 0.0;
  for (var slice = 0u; slice < ${slices}u; slice++) { value += ${args.scratch}[slice * ${cells}u + cell]; }
  let t = cell / ${single!.out}u;
  let o = cell % ${single!.out}u;
  ${single!.store(args)}`,
    }),
  };
  return { passes: [first, second], scratchBytes: 4 * slices * cells };
}
