import type { TensorSpec } from '@rwkv-js/tensor';
import type { Kernel, Pass, ShaderArguments } from '../kernel.ts';
import { flatGroup, gridOf, wgsl } from '../wgsl.ts';
import { linesOf, loadQuads, loadReader, loadType, unpacking } from './matrix.ts';
import type { Product, Products } from './product.ts';

/** Work groups from which a large accelerator is busy. */
const enoughGroups = 256;

/** Threads beside each other, which read a run of a line. */
const across = 8;

/** Lines that a thread reads together, so that their loads wait side by side. */
const together = 4;

/**
 * Few rows of x [tokens ≤ 4, depth] with a weight that lies as [depth, out]: y[t, o] = Σ_k x[t, k] · W[k, o].
 *
 * A work group takes a block of columns; eight threads beside each other read a run of a line, those behind
 * each other take different lines, and lines that meet only zeros of x are not read. Their sums meet in
 * memory of the work group. Where there are few columns and many lines, work groups share the lines of a
 * block and leave parts in the working memory [slices, tokens, out], which a second dispatch adds up.
 */
export function transposedProduct(all: Products): Kernel {
  const { products, inputs, tokens, capabilities } = all;
  const threads = Math.min(256, capabilities.threads);
  const deep = threads / across;
  const loadsOf = (weight: number): number =>
    Math.ceil(linesOf(inputs[weight]!).length / (4 * loadQuads(inputs[weight]!)));
  const blocksOf = ({ weight }: Product): number => Math.ceil(loadsOf(weight) / across);
  const [single] = products;
  const slices =
    products.length > 1
      ? 1
      : Math.max(
          1,
          Math.min(
            Math.ceil(enoughGroups / blocksOf(single!)),
            Math.floor(single!.depth / (together * deep)),
          ),
        );
  let end = 0;
  const parts = products.map((product) => {
    const start = end;
    end += blocksOf(product) * slices;
    return { product, start, end };
  });
  const types: Record<number, string> = {};
  for (const { weight } of products) {
    const type = loadType(inputs[weight]!);
    if (type) types[weight] = type;
  }
  const quads = Math.max(...products.map(({ weight }) => loadQuads(inputs[weight]!)));
  const ofTokens = Array.from({ length: tokens }, (_, t) => t);
  const first: Pass = {
    grid: gridOf(end),
    threads,
    types,
    source: (args) => ({
      module: wgsl`${unpacking}
var<workgroup> sums: array<vec4f, ${threads}>;
${[...new Set(products.map(({ weight }) => weight))]
  .map((weight) => loadReader(`load_${weight}`, args.inputs[weight]!))
  .join('\n')}
fn put(group_index: u32, t: u32, quad: u32, thread: u32, value: f32) {
  ${parts
    .map(
      ({ product, start, end: last }) => `if (group_index >= ${start}u && group_index < ${last}u) {
    let place = group_index - ${start}u;
    let o = (((place / ${slices}u) * ${across}u + (thread >> 2u)) * ${loadQuads(inputs[product.weight]!)}u + quad) * 4u + (thread & 3u);
    if (o < ${product.out}u) { ${
      slices > 1
        ? `${args.scratch}[((place % ${slices}u) * ${tokens}u + t) * ${product.out}u + o] = value;`
        : product.store(args)
    } }
  }`,
    )
    .join('\n  ')}
}`,
      main: wgsl`
  let group_index = ${flatGroup};
  let beside = thread % ${across}u;
  let behind = thread / ${across}u;
  ${ofTokens
    .map((t) => range(quads).map((q) => `var sum_${t}_${q} = vec4f();`))
    .flat()
    .join(' ')}
  ${parts
    .map(({ product, start, end: last }, p) => {
      const head = p === parts.length - 1 ? '{' : `if (group_index < ${last}u) {`;
      return `${p === 0 ? '' : 'else '}${head}
    ${linesOfProduct(product, start, slices, deep, tokens, loadsOf(product.weight), inputs, args)}
  }`;
    })
    .join('\n  ')}
  ${ofTokens
    .flatMap((t) =>
      range(quads).map(
        (q) => wgsl`
  sums[thread] = sum_${t}_${q};
  workgroupBarrier();
  if (thread < ${4 * across}u) {
    var value = 0.0;
    for (var d = 0u; d < ${deep}u; d++) { value += sums[d * ${across}u + (thread >> 2u)][thread & 3u]; }
    put(group_index, ${t}u, ${q}u, thread, value);
  }
  workgroupBarrier();`,
      ),
    )
    .join('')}`,
    }),
  };
  if (slices === 1) return { passes: [first] };
  const cells = tokens * single!.out;
  const second: Pass = {
    grid: gridOf(Math.ceil(cells / 64)),
    threads: 64,
    source: (args) => ({
      main: wgsl`
  let cell = ${flatGroup} * 64u + thread;
  if (cell >= ${cells}u) { return; }
  ${range(slices)
    .map((slice) => `let part_${slice} = ${args.scratch}[${slice * cells}u + cell];`)
    .join('\n  ')}
  let value = ${range(slices)
    .map((slice) => `part_${slice}`)
    .join(' + ')};
  let t = cell / ${single!.out}u;
  let o = cell % ${single!.out}u;
  ${single!.store(args)}`,
    }),
  };
  const scratchBytes = 4 * slices * cells;
  const again = { bytesRead: scratchBytes, bytesWritten: scratchBytes };
  return { passes: [first, second], scratchBytes, again };
}

/** Adds the lines of a product that fall to a thread. */
function linesOfProduct(
  { x, weight, depth, firstRow, firstColumn, firstOut, activation }: Product,
  start: number,
  slices: number,
  deep: number,
  tokens: number,
  loads: number,
  inputs: readonly TensorSpec[],
  args: ShaderArguments,
): string {
  const width = inputs[x]!.shape.at(-1)!;
  const act = activation ?? ((plain: string): string => plain);
  const share = Math.ceil(depth / slices);
  const all = range(tokens);
  const quads = loadQuads(inputs[weight]!);
  return wgsl`let place = group_index - ${start}u;
    let load = (place / ${slices}u) * ${across}u + beside;
    let begin = (place % ${slices}u) * ${share}u;
    let end = min(begin + ${share}u, ${depth}u);
    if (load < ${loads}u) {
      for (var k = begin + behind; k < end; k += ${together * deep}u) {
        ${range(together)
          .map(
            (u) => wgsl`let k${u} = min(k + ${u * deep}u, end - 1u);
        ${all
          .map((t) => {
            const value = act(
              args.inputs[x]!.at(`${(firstRow + t) * width + firstColumn}u + k${u}`),
            );
            return `let x${t}_${u} = ${u === 0 ? value : `select(0.0, ${value}, k + ${u * deep}u < end)`};`;
          })
          .join(' ')}
        var w${u} = array<vec4f, ${quads}>();
        if (${all.map((t) => `x${t}_${u} != 0.0`).join(' || ')}) { w${u} = load_${weight}(${firstOut}u + k${u}, load); }`,
          )
          .join('\n        ')}
        ${range(together)
          .flatMap((u) =>
            all.flatMap((t) =>
              range(quads).map((q) => `sum_${t}_${q} += x${t}_${u} * w${u}[${q}];`),
            ),
          )
          .join(' ')}
      }
    }`;
}

function range(count: number): readonly number[] {
  return Array.from({ length: count }, (_, i) => i);
}
