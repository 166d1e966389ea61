import type { TensorSpec } from '@rwkv-js/tensor';
import type { Argument } from '../argument.ts';
import type { Pass } from '../kernel.ts';
import { flatGroup, gridOf, powerOfTwo, wgsl } from '../wgsl.ts';
import { addFixedPoint, takesFixedPoint, toFixedPoint } from './fixed-point.ts';
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

/** Threads of a work group, by the quads of a load: what streams best on a large accelerator. */
const mostThreads = { 2: 256, 4: 256, 8: 128 };

/** Work groups from which a large accelerator is busy; beyond, more rows to each pay. */
const enoughGroups = 512;

/** Quads of x that a thread keeps as fixed-point numbers. */
const keptQuads = 8;

/**
 * Rows of the weight that a work group multiplies: x is read once for all of them, and where it becomes
 * fixed-point numbers that is work.
 */
function rowsOf(quads: 2 | 4 | 8, tokens: number, outs: number): number {
  // Few threads hold many rows of x but badly.
  if (tokens > 1) return 4;
  if (quads === 2) return 2;
  return powerOfTwo(Math.floor(outs / enoughGroups / 2) + 1, 4, quads === 4 ? 8 : 16);
}

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
  const outs = products.reduce((sum, { out }) => sum + out, 0);
  const rows = rowsOf(most, tokens, outs);
  // Sums of many rows of x take room.
  const limit = Math.min(tokens > 2 ? 128 : mostThreads[most], capabilities.threads);
  const threads = powerOfTwo(loads, 32, limit);
  const families = familiesOf(products, ({ out }) => Math.ceil(out / rows));
  const types: Record<number, string> = {};
  for (const { x, weight } of products) {
    const type = loadType(inputs[weight]!);
    if (type) types[weight] = type;
    if (readsQuads(all, x)) types[x] = 'array<vec4<f32>>';
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
  const chunks = Math.ceil(loadCount(weight) / threads);
  const isWhole =
    shape.integerDot &&
    tokens === 1 &&
    x.spec.dtype === 'f32' &&
    takesFixedPoint(weight) &&
    chunks * loadQuads(weight) <= keptQuads;
  const together = Math.min(rows, 4);
  const lines = range(together);
  const { ready, sums } = isWhole
    ? wholeNumbers(family, loads, weight, { chunks, threads, lines })
    : floats(family, loads, weight, { threads, tokens, lines });
  const batch = wgsl`
      ${lines.map((r) => `let line${r} = m_firstOut + min(first + row + ${r}u, m_out - 1u);`).join(' ')}
      ${sums}
      ${leave(shape, together)}`;
  return wgsl`${declareMember(family, ['start', 'firstRow', 'firstColumn', 'firstOut', 'out'])}
    let first = (group_index - m_start) * ${rows}u;
    ${ready}
    ${
      rows === together
        ? `{
      let row = 0u;${batch}
    }`
        : `for (var row = 0u; row < ${rows}u; row += ${together}u) {${batch}
    }`
    }`;
}

/** What is done once, and what declares and makes the sums of a few rows, `sum_N`. */
interface Sums {
  readonly ready: string;
  readonly sums: string;
}

/** Numbers of the weight become floats: each load of the rows once, with the numbers that meet it. */
function floats(
  { x }: Family,
  { load, quad, scale }: Loads,
  weight: TensorSpec,
  { threads, tokens, lines }: { threads: number; tokens: number; lines: readonly number[] },
): Sums {
  const quads = range(loadQuads(weight));
  const count = lines.length;
  const dot = (r: number): string =>
    quads.map((i) => `dot(${quad(`w${r}`, i)}, x${i})`).join(' + ');
  const place = (i: number): string => `${4 * quads.length}u * c + ${4 * i}u + m_firstColumn`;
  return {
    ready: '',
    // Every sum has a name of its own: an array that is indexed in a loop would lie in slow memory.
    sums: wgsl`${range(count * tokens)
      .map((cell) => `var sum_${cell} = 0.0;`)
      .join(' ')}
      for (var c = thread; c < ${loadCount(weight)}u; c += ${threads}u) {
        ${lines.map((r) => `let w${r} = ${load(`line${r}`, 'c')};`).join('\n        ')}
        ${scale ? lines.map((r) => `let s${r} = ${scale(`line${r}`, 'c')};`).join('\n        ') : ''}
        ${range(tokens)
          .map(
            (t) => `{
          ${quads.map((i) => `let x${i} = quad_${x}(m_firstRow + ${t}u, ${place(i)});`).join('\n          ')}
          ${lines.map((r) => `sum_${t * count + r} += ${scale ? `s${r} * (${dot(r)})` : dot(r)};`).join('\n          ')}
        }`,
          )
          .join('\n        ')}
      }`,
  };
}

/** Packed weights in whole numbers: a thread makes its numbers of x fixed-point ones and keeps them. */
function wholeNumbers(
  { x }: Family,
  { load, scale }: Loads,
  weight: TensorSpec,
  { chunks, threads, lines }: { chunks: number; threads: number; lines: readonly number[] },
): Sums {
  const quads = range(loadQuads(weight));
  const count = loadCount(weight);
  const all = range(chunks);
  return {
    ready: all
      .map((j) => {
        const over = (j + 1) * threads > count;
        return wgsl`
    let c${j} = ${over ? `min(thread + ${j * threads}u, ${count - 1}u)` : `thread + ${j * threads}u`};
    ${quads
      .map((i) => {
        const read = `quad_${x}(m_firstRow, ${4 * quads.length}u * c${j} + ${4 * i}u + m_firstColumn)`;
        return `let x${j}_${i} = ${over ? `select(vec4f(), ${read}, thread + ${j * threads}u < ${count}u)` : read};`;
      })
      .join('\n    ')}
    ${toFixedPoint(weight, `${j}_`)}`;
      })
      .join(''),
    sums: wgsl`${lines.map((r) => `var sum_${r} = 0.0;`).join(' ')}
      ${all.map((j) => lines.map((r) => `let w${j}_${r} = ${load(`line${r}`, `c${j}`)};`).join('\n      ')).join('\n      ')}
      ${all.map((j) => lines.map((r) => `let s${j}_${r} = ${scale!(`line${r}`, `c${j}`)};`).join('\n      ')).join('\n      ')}
      ${all
        .map((j) =>
          lines
            .map((r) =>
              addFixedPoint(weight, {
                of: `${j}_`,
                sum: `sum_${r}`,
                loaded: `w${j}_${r}`,
                scale: `s${j}_${r}`,
              }),
            )
            .join('\n      '),
        )
        .join('\n      ')}`,
  };
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
