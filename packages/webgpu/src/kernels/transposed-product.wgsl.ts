import type { TensorSpec } from '@rwkv-js/tensor';
import type { Capabilities, Kernel, Pass, ShaderArguments } from '../kernel.ts';
import { flatGroup, gridOf, powerOfTwo, wgsl } from '../wgsl.ts';
import { linesOf, loadQuads, loadsOf, loadType, unpacking, type Loads } from './matrix.ts';
import type { Activation, Product, Products } from './product.ts';

/** Work groups from which a large accelerator is busy. */
const enoughGroups = 256;

/** Lines that a thread reads together, so that their loads wait side by side. */
const together = 8;

/** Bytes of work group memory for sums that meet. */
const sumBytes = 8192;

/**
 * Few rows of x [tokens ≤ 4, depth] with a weight that lies as [depth, out]: y[t, o] = Σ_k x[t, k] · W[k, o].
 *
 * A work group takes a block of columns; threads beside each other read a run of a line, those behind each
 * other take different lines. Of a product that stands alone, lines that meet only zeros of x are left out
 * before any is read, so that all loads that wait side by side are needed. The threads' sums meet through
 * subgroups as far as those reach, then in memory of the work group. Where there are few columns and many
 * lines, work groups share the lines of a block and leave parts in the working memory [slices, tokens,
 * out], which a second dispatch adds up.
 */
export function transposedProduct(all: Products): Kernel {
  const { products, inputs, tokens, capabilities } = all;
  const threads = Math.min(256, capabilities.threads);
  const across = acrossOf(all);
  const deep = threads / across;
  const loadCount = (weight: number): number =>
    Math.ceil(linesOf(inputs[weight]!).length / (4 * loadQuads(inputs[weight]!)));
  const blocksOf = ({ weight }: Product): number => Math.ceil(loadCount(weight) / across);
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
  const steps = shuffleSteps(across, capabilities);
  // Of threads behind each other those that subgroups do not join.
  const apart = deep >> steps.length;
  const quadsAtOnce = Math.max(1, Math.min(quads, Math.floor(sumBytes / (16 * apart * across))));
  const ofTokens = range(tokens);
  const sparse = products.length === 1;
  const first: Pass = {
    grid: gridOf(end),
    threads,
    types,
    source: (args) => {
      const weights = new Map(
        products.map(({ weight }) => [weight, loadsOf(`load_${weight}`, args.inputs[weight]!)]),
      );
      // Every sum has a name of its own: an array that is indexed in a loop would lie in slow memory.
      const sums = ofTokens.flatMap((t) =>
        range(quads).map((q) => ({ t, q, name: `sum_${t}_${q}` })),
      );
      const batches = ofTokens.flatMap((t) =>
        range(Math.ceil(quads / quadsAtOnce)).map((b) =>
          sums.filter((one) => one.t === t && Math.floor(one.q / quadsAtOnce) === b),
        ),
      );
      return {
        subgroups: steps.length > 0,
        module: wgsl`${unpacking}
var<workgroup> x_of: array<f32, ${tokens * threads}>;
${sparse ? skipping(threads) : ''}
var<workgroup> sums: array<vec4f, ${apart * across * quadsAtOnce}>;
${[...weights.values()].map(({ module }) => module).join('')}
fn put(group_index: u32, t: u32, quad: u32, load: u32, part: u32, value: f32) {
  ${parts
    .map(
      ({ product, start, end: last }) => `if (group_index >= ${start}u && group_index < ${last}u) {
    let place = group_index - ${start}u;
    let o = (((place / ${slices}u) * ${across}u + load) * ${loadQuads(inputs[product.weight]!)}u + quad) * 4u + part;
    if (quad < ${loadQuads(inputs[product.weight]!)}u && o < ${product.out}u) { ${
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
  ${sums.map(({ name }) => `var ${name} = vec4f();`).join(' ')}
  ${parts
    .map(({ product, start, end: last }, p) => {
      const head = p === parts.length - 1 ? '{' : `if (group_index < ${last}u) {`;
      return `${p === 0 ? '' : 'else '}${head}
    ${linesOfProduct(product, weights.get(product.weight)!, args, {
      start,
      slices,
      across,
      deep,
      tokens,
      loads: loadCount(product.weight),
      threads,
      sparse,
      spec: inputs[product.weight]!,
      width: inputs[product.x]!.shape.at(-1)!,
    })}
  }`;
    })
    .join('\n  ')}
  ${steps.map((step) => sums.map(({ name }) => `${name} += subgroupShuffleXor(${name}, ${step}u);`).join(' ')).join('\n  ')}
  ${batches
    .map(
      (batch) => wgsl`
  workgroupBarrier();
  if (behind % ${2 ** steps.length}u == 0u) {
    let place = (behind / ${2 ** steps.length}u) * ${across * quadsAtOnce}u + beside * ${quadsAtOnce}u;
    ${batch.map(({ name }, i) => `sums[place + ${i}u] = ${name};`).join(' ')}
  }
  workgroupBarrier();
  for (var i = thread; i < ${across * 4 * batch.length}u; i += ${threads}u) {
    let cell = ((i >> 2u) / ${batch.length}u) * ${quadsAtOnce}u + (i >> 2u) % ${batch.length}u;
    var value = 0.0;
    for (var d = 0u; d < ${apart}u; d++) { value += sums[d * ${across * quadsAtOnce}u + cell][i & 3u]; }
    put(group_index, ${batch[0]!.t}u, ${batch[0]!.q}u + (i >> 2u) % ${batch.length}u, (i >> 2u) / ${batch.length}u, i & 3u, value);
  }`,
    )
    .join('')}`,
      };
    },
  };
  if (slices === 1) return { passes: [first] };
  const scratchBytes = 4 * slices * tokens * single!.out;
  return {
    passes: [first, sumOfSlices(single!, slices, tokens)],
    scratchBytes,
    again: { bytesRead: scratchBytes, bytesWritten: scratchBytes },
  };
}

/**
 * Threads beside each other. Where lines are many and some of them not read, a whole subgroup takes the same
 * line, so that its threads go the same way; where several products share the launch, their lines are few,
 * and a short run of each leaves more work groups.
 */
function acrossOf({ products, inputs }: Products): number {
  const { weight } = products[0]!;
  const loads = Math.ceil(linesOf(inputs[weight]!).length / (4 * loadQuads(inputs[weight]!)));
  if (products.length > 1) return powerOfTwo((loads * products.length) / enoughGroups, 4, 8);
  return powerOfTwo(loads, 8, 32);
}

/** Distances over which the sums of threads behind each other are added within a subgroup. */
function shuffleSteps(across: number, { subgroups, narrowestSubgroup }: Capabilities): number[] {
  const steps: number[] = [];
  if (!subgroups) return steps;
  for (let step = across; step < narrowestSubgroup && step < 256; step *= 2) steps.push(step);
  return steps;
}

/** Adds up what work groups left of a product: four threads for each result, which meet in memory. */
function sumOfSlices({ out, store }: Product, slices: number, tokens: number): Pass {
  const cells = tokens * out;
  const share = Math.ceil(slices / 4);
  return {
    grid: gridOf(Math.ceil(cells / 32)),
    threads: 128,
    source: (args) => ({
      module: wgsl`
var<workgroup> quarters: array<f32, 128>;`,
      main: wgsl`
  let cell = ${flatGroup} * 32u + thread % 32u;
  let earliest = (thread / 32u) * ${share}u;
  ${range(share)
    .map(
      (s) =>
        `let part_${s} = ${args.scratch}[min(earliest + ${s}u, ${slices - 1}u) * ${cells}u + min(cell, ${cells - 1}u)];`,
    )
    .join('\n  ')}
  quarters[thread] = ${range(share)
    .map((s) =>
      slices % 4 === 0 ? `part_${s}` : `select(0.0, part_${s}, earliest + ${s}u < ${slices}u)`,
    )
    .join(' + ')};
  workgroupBarrier();
  if (thread >= 32u || cell >= ${cells}u) { return; }
  let value = quarters[thread] + quarters[thread + 32u] + quarters[thread + 64u] + quarters[thread + 96u];
  let t = cell / ${out}u;
  let o = cell % ${out}u;
  ${store(args)}`,
    }),
  };
}

interface Shape {
  readonly start: number;
  readonly slices: number;
  readonly across: number;
  readonly deep: number;
  readonly tokens: number;
  /** Loads in a line of the weight. */
  readonly loads: number;
  /** Threads of the work group, and lines of which it keeps the numbers of x at a time. */
  readonly threads: number;
  /** True where lines are left out that meet only zeros. */
  readonly sparse: boolean;
  readonly spec: TensorSpec;
  /** Numbers in a row of x. */
  readonly width: number;
}

/**
 * What leaves lines out: a bit for each line of which numbers are kept, so that those that are read get their
 * places in order, whatever the threads' pace.
 */
function skipping(threads: number): string {
  const words = Math.ceil(threads / 32);
  return wgsl`
var<workgroup> line_of: array<u32, ${threads}>;
var<workgroup> is_read: array<atomic<u32>, ${words}>;
// How many lines are read, and how many of them before the thread's own.
fn places(thread: u32) -> vec2u {
  var count = 0u;
  var before = 0u;
  for (var w = 0u; w < ${words}u; w++) {
    let bits = atomicLoad(&is_read[w]);
    count += countOneBits(bits);
    let own = thread >> 5u;
    let earlier = select(select(0u, (1u << (thread & 31u)) - 1u, w == own), 0xffffffffu, w < own);
    before += countOneBits(bits & earlier);
  }
  return vec2u(count, before);
}`;
}

/** Adds the lines of a product that fall to a thread. */
function linesOfProduct(
  { x, depth, firstRow, firstColumn, firstOut, activation }: Product,
  { load, quad, scale }: Loads,
  args: ShaderArguments,
  { start, slices, across, deep, tokens, loads, threads, sparse, spec, width }: Shape,
): string {
  const act: Activation = activation ?? ((plain) => plain);
  const share = Math.ceil(depth / slices);
  const all = range(tokens);
  const quads = range(loadQuads(spec));
  const lines = range(Math.min(together, Math.ceil(Math.min(threads, share) / deep)));
  const own = (t: number): string =>
    act(args.inputs[x]!.at(`${(firstRow + t) * width + firstColumn}u + k`), 'f32');
  const keep = sparse
    ? wgsl`if (thread < ${Math.ceil(threads / 32)}u) { atomicStore(&is_read[thread], 0u); }
      workgroupBarrier();
      let is_own = base + thread < end && (${all.map((t) => `own_${t} != 0.0`).join(' || ')});
      if (is_own) { atomicOr(&is_read[thread >> 5u], 1u << (thread & 31u)); }
      workgroupBarrier();
      let found = places(thread);
      let count = found.x;
      if (is_own) {
        line_of[found.y] = k;
        ${all.map((t) => `x_of[${t * threads}u + found.y] = own_${t};`).join(' ')}
      }`
    : wgsl`let count = min(${threads}u, end - base);
      ${all.map((t) => `x_of[${t * threads}u + thread] = own_${t};`).join(' ')}`;
  return wgsl`let place = group_index - ${start}u;
    let load = (place / ${slices}u) * ${across}u + beside;
    let load_at = min(load, ${loads - 1}u);
    let begin = (place % ${slices}u) * ${share}u;
    let end = min(begin + ${share}u, ${depth}u);
    for (var base = begin; base < end; base += ${threads}u) {
      let k = min(base + thread, end - 1u);
      ${all.map((t) => `let own_${t} = ${own(t)};`).join(' ')}
      workgroupBarrier();
      ${keep}
      workgroupBarrier();
      for (var i = behind; i < count; i += ${lines.length * deep}u) {
        ${lines
          .map(
            (u) => wgsl`let i${u} = min(i + ${u * deep}u, count - 1u);
        let line${u} = ${firstOut}u + ${sparse ? `line_of[i${u}]` : `base + i${u}`};
        ${all.map((t) => `let x${t}_${u} = select(0.0, x_of[${t * threads}u + i${u}], i + ${u * deep}u < count);`).join(' ')}`,
          )
          .join('\n        ')}
        ${lines.map((u) => `let w${u} = ${load(`line${u}`, 'load_at')};`).join(' ')}
        ${scale ? lines.map((u) => `let s${u} = ${scale.of(`line${u}`, 'load_at')};`).join(' ') : ''}
        ${lines
          .map((u) =>
            all
              .flatMap((t) => [
                ...(scale ? [`let y${t}_${u} = x${t}_${u} * s${u};`] : []),
                ...quads.map(
                  (q) => `sum_${t}_${q} += ${scale ? 'y' : 'x'}${t}_${u} * ${quad(`w${u}`, q)};`,
                ),
              ])
              .join(' '),
          )
          .join('\n        ')}
      }
    }`;
}

function range(count: number): readonly number[] {
  return Array.from({ length: count }, (_, i) => i);
}
