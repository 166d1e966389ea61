import { isPacked, type TensorSpec } from '@rwkv-js/tensor';
import type { Argument } from '../argument.ts';
import type { Pass } from '../kernel.ts';
import { flatGroup, gridOf, powerOfTwo, wgsl } from '../wgsl.ts';
import { linesOf, loadQuads, loadsOf, loadType, unpacking, type Loads } from './matrix.ts';
import {
  byGroup,
  declareMember,
  familiesOf,
  readsQuads,
  rowReaders,
  type Family,
  type Products,
} from './product.ts';
import { firstScale } from './quantize.wgsl.ts';

/**
 * Threads of a work group and rows of the weight that they multiply, by the quads of a load: what streams best
 * on a large accelerator. x is read once for all the rows.
 */
const groups = {
  2: { threads: 256, rows: 2 },
  4: { threads: 256, rows: 8 },
  8: { threads: 32, rows: 4 },
} as const;

/** The rows where there are several of x: few threads hold many sums but badly. */
const rowsOfSeveral = 4;

/**
 * Few rows of x [tokens ≤ 4, in] with a weight [out, in]: y[t, o] = Σ_i x[t, i] · W[o, i].
 *
 * A work group takes some rows of one weight, its threads side by side along them, so every load of the
 * weight is a run of memory, read once: what is moved is the weight. x comes from the cache. A few rows are
 * multiplied together, so that their loads wait side by side; the others follow in a loop, as a longer
 * text would have to be fetched itself. Sums of the threads meet in memory of the work group, and through
 * subgroups where there are some.
 */
export function matrixVector(all: Products): Pass {
  const { products, inputs, tokens, capabilities } = all;
  const loads = Math.max(...products.map(({ weight }) => loadCount(inputs[weight]!)));
  const most = Math.max(...products.map(({ weight }) => loadQuads(inputs[weight]!))) as 2 | 4 | 8;
  const rows = tokens > 1 ? rowsOfSeveral : groups[most].rows;
  // Sums of many rows of x take room.
  const limit = Math.min(tokens > 2 ? 128 : groups[most].threads, capabilities.threads);
  const threads = powerOfTwo(loads, 32, limit);
  const families = familiesOf(products, ({ out }) => Math.ceil(out / rows));
  const types: Record<number, string> = {};
  for (const { x, weight } of products) {
    const type = loadType(inputs[weight]!);
    if (type) types[weight] = type;
    if (readsQuads(all, x)) types[x] = 'array<vec4<f32>>';
    if (isPacked(inputs[x]!.dtype)) types[x] = 'array<vec4<u32>>';
  }
  const cells = rows * tokens;
  const shape: Shape = { rows, threads, tokens, integerDot: capabilities.integerDot };
  // Threads that add up one sum, those of them that a subgroup joins, and what is left of each.
  const adders = Math.max(1, threads / powerOfTwo(cells, 1, threads));
  const joined = capabilities.subgroups ? Math.min(adders, capabilities.narrowestSubgroup) : 1;
  const left = adders / joined;
  const subgroups = joined > 1;
  return {
    grid: gridOf(families.at(-1)!.end),
    threads,
    types,
    source: (args) => {
      const weights = new Map(
        products.map(({ weight }) => [weight, loadsOf(`load_${weight}`, args.inputs[weight]!)]),
      );
      return {
        subgroups,
        module: wgsl`${unpacking}
var<workgroup> parts: array<f32, ${cells * strideOf(threads)}>;
${left > 1 ? `var<workgroup> rest: array<f32, ${cells * left}>;` : ''}
${[...weights.values()].map(({ module }) => module).join('')}
${rowReaders(
  products,
  args.inputs,
  products.every(({ weight }) => linesOf(inputs[weight]!).length % 8 === 0),
)}
fn finish(group_index: u32, t: u32, row: u32, value: f32) {
  ${byGroup(
    families.flatMap(({ members }) => members),
    (member) => `let o = (group_index - ${member.start}u) * ${rows}u + row;
    if (o < ${member.out}u) { ${member.store(args)} }`,
  )}
}`,
        main: wgsl`
  let group_index = ${flatGroup};
  ${byGroup(families, (family) =>
    body(
      family,
      weights.get(family.weight)!,
      args.inputs[family.x]!,
      inputs[family.weight]!,
      shape,
    ),
  )}
  workgroupBarrier();
  let cell = thread / ${adders}u;
  var value = 0.0;
  if (cell < ${cells}u) {
    for (var i = thread % ${adders}u; i < ${threads}u; i += ${adders}u) { value += parts[cell * ${strideOf(threads)}u + i]; }
  }
  ${range(Math.log2(joined))
    .map((step) => `value += subgroupShuffleXor(value, ${2 ** step}u);`)
    .join(' ')}
  ${
    left > 1
      ? wgsl`if (cell < ${cells}u && thread % ${joined}u == 0u) { rest[thread / ${joined}u] = value; }
  workgroupBarrier();
  if (thread < ${cells}u) {
    var all = 0.0;
    for (var i = 0u; i < ${left}u; i++) { all += rest[thread * ${left}u + i]; }
    finish(group_index, thread / ${rows}u, thread % ${rows}u, all);
  }`
      : `if (cell < ${cells}u && thread % ${adders}u == 0u) { finish(group_index, cell / ${rows}u, cell % ${rows}u, value); }`
  }`,
      };
    },
  };
}

interface Shape {
  /** Rows of the weight in a work group. */
  readonly rows: number;
  readonly threads: number;
  readonly tokens: number;
  readonly integerDot: boolean;
}

/** A work group's share of one product. */
function body(family: Family, loads: Loads, x: Argument, weight: TensorSpec, shape: Shape): string {
  const { rows, threads, tokens } = shape;
  const together = Math.min(rows, 4);
  const lines = range(together);
  const sumsOf = takesIntegers(x.spec, weight, shape.integerDot) ? integers : floats;
  const sums = sumsOf(family, loads, weight, { x, threads, tokens, lines });
  const batch = wgsl`
      ${lines.map((r) => `let line${r} = m_firstOut + min(first + row + ${r}u, m_out - 1u);`).join(' ')}
      ${sums}
      ${leave(shape, together)}`;
  return wgsl`${declareMember(family, ['start', 'firstRow', 'firstColumn', 'firstOut', 'out'])}
    let first = (group_index - m_start) * ${rows}u;
    ${
      rows === together
        ? `{
      let row = 0u;${batch}
    }`
        : `for (var row = 0u; row < ${rows}u; row += ${together}u) {${batch}
    }`
    }`;
}

/** True where quantised rows meet packed weights of which a load is whole words. */
function takesIntegers(x: TensorSpec, weight: TensorSpec, integerDot: boolean): boolean {
  return integerDot && isPacked(x.dtype) && loadType(weight) === 'array<vec4<u32>>';
}

/** What sums are generated from. */
interface SumsOf {
  readonly x: Argument;
  readonly threads: number;
  readonly tokens: number;
  /** Rows of the weight that are multiplied together. */
  readonly lines: readonly number[];
}

/** Numbers of the weight become floats: each load of the rows once, with the numbers that meet it. */
function floats(
  { x }: Family,
  { load, quad, scale }: Loads,
  weight: TensorSpec,
  { threads, tokens, lines }: SumsOf,
): string {
  const quads = range(loadQuads(weight));
  const count = lines.length;
  const dot = (r: number): string =>
    quads.map((i) => `dot(${quad(`w${r}`, i)}, x${i})`).join(' + ');
  const place = (i: number): string => `${4 * quads.length}u * c + ${4 * i}u + m_firstColumn`;
  // Every sum has a name of its own: an array that is indexed in a loop would lie in slow memory.
  return wgsl`${range(count * tokens)
    .map((cell) => `var sum_${cell} = 0.0;`)
    .join(' ')}
      for (var c = thread; c < ${loadCount(weight)}u; c += ${threads}u) {
        ${lines.map((r) => `let w${r} = ${load(`line${r}`, 'c')};`).join('\n        ')}
        ${scale ? lines.map((r) => `let s${r} = ${scale.of(`line${r}`, 'c')};`).join('\n        ') : ''}
        ${range(tokens)
          .map(
            (t) => `{
          ${quads.map((i) => `let x${i} = quad_${x}(m_firstRow + ${t}u, ${place(i)});`).join('\n          ')}
          ${lines.map((r) => `sum_${t * count + r} += ${scale ? `s${r} * (${dot(r)})` : dot(r)};`).join('\n          ')}
        }`,
          )
          .join('\n        ')}
      }`;
}

/**
 * Quantised rows of x and packed weights are multiplied in whole numbers: the products of a load are added up
 * exactly, then scaled. A load of 4-bit weights meets a block of x, one of 8-bit weights half a block.
 */
function integers(
  _: Family,
  { load, scale }: Loads,
  weight: TensorSpec,
  { x, threads, tokens, lines }: SumsOf,
): string {
  const { bits } = weight.dtype as { bits: 4 | 8 };
  const words = range(loadQuads(weight));
  const count = lines.length;
  const width = x.spec.shape.at(-1)!;
  const vectors = words.length / 4;
  const quants = (r: number, i: number): string =>
    bits === 8 ? `w${r}[${i}]` : `${i < 4 ? 'low' : 'high'}${r}[${i % 4}]`;
  // 4-bit quants are multiplied as the upper half of a byte, so sixteen times too large.
  const unit = bits === 8 ? '' : ' * 0.0625';
  return wgsl`${range(count * tokens)
    .map((cell) => `var sum_${cell} = 0.0;`)
    .join(' ')}
      for (var c = thread; c < ${loadCount(weight)}u; c += ${threads}u) {
        ${lines.map((r) => `let w${r} = ${load(`line${r}`, 'c')};`).join('\n        ')}
        ${lines.map((r) => `let s${r} = ${scale!.of(`line${r}`, 'c')}${unit};`).join('\n        ')}
        ${
          bits === 8
            ? ''
            : lines
                .map(
                  // A quant of 4 bits is its number plus 8: with its upper bit turned, a signed number.
                  (r) => `let turned${r} = w${r} ^ vec4u(0x88888888u);
        let low${r} = (turned${r} << vec4u(4u)) & vec4u(0xf0f0f0f0u);
        let high${r} = turned${r} & vec4u(0xf0f0f0f0u);`,
                )
                .join('\n        ')
        }
        ${range(tokens)
          .map(
            (t) => wgsl`{
          let at = (m_firstRow + ${t}u) * ${width / 16}u + m_firstColumn / 16u + ${vectors}u * c;
          ${range(vectors)
            .map((v) => `let x${v} = ${x.name}[at + ${v}u];`)
            .join(' ')}
          let scale_at = ${firstScale(x.spec)}u + (at >> 1u);
          let scale_of_x = bitcast<f32>(${x.name}[scale_at >> 2u][scale_at & 3u]);
          ${lines
            .map(
              (r) =>
                `sum_${t * count + r} += (s${r} * scale_of_x) * f32(${words.map((i) => `dot4I8Packed(${quants(r, i)}, x${i >> 2}[${i & 3}])`).join(' + ')});`,
            )
            .join('\n          ')}
        }`,
          )
          .join('\n        ')}
      }`;
}

/** A thread's sums of a few rows from `row` are left in memory of the work group. */
function leave({ rows, threads, tokens }: Shape, together: number): string {
  return range(together * tokens)
    .map((cell) => {
      const place = Math.floor(cell / together) * rows + (cell % together);
      return `parts[(${place}u + row) * ${strideOf(threads)}u + thread] = sum_${cell};`;
    })
    .join(' ');
}

/** Numbers between the beginnings of two sums' parts: those of neighbours lie in other banks of the memory. */
function strideOf(threads: number): number {
  return threads + 8;
}

/** Loads in a line. */
function loadCount(spec: TensorSpec): number {
  return Math.ceil(linesOf(spec).length / (4 * loadQuads(spec)));
}

function range(count: number): readonly number[] {
  return Array.from({ length: count }, (_, i) => i);
}
