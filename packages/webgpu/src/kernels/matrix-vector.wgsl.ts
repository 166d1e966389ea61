import type { TensorSpec } from '@rwkv-js/tensor';
import type { Argument } from '../argument.ts';
import type { Pass } from '../kernel.ts';
import { flatGroup, gridOf, powerOfTwo, wgsl } from '../wgsl.ts';
import { linesOf, loadDot, loadQuads, loadType, unpacking } from './matrix.ts';
import {
  byGroup,
  declareMember,
  familiesOf,
  readsQuads,
  rowReaders,
  type Family,
  type Products,
} from './product.ts';

/**
 * Rows of the weight that a work group multiplies at once, for which x is read once, and its threads:
 * what streams best on a large accelerator, for weights of 16 bits and more, of 8 and of 4.
 */
const tuning = {
  2: { rowsAtOnce: 4, threads: 256 },
  4: { rowsAtOnce: 4, threads: 256 },
  8: { rowsAtOnce: 8, threads: 128 },
};

/**
 * Few rows of x [tokens ≤ 4, in] with a weight [out, in]: y[t, o] = Σ_i x[t, i] · W[o, i].
 *
 * A work group takes some rows of one weight, its threads side by side along them, so every load of the
 * weight is a run of memory, read once: what is moved is the weight. x comes from the cache. Sums of the
 * threads meet through subgroups where there are some, else in memory of the work group.
 */
export function matrixVector(all: Products): Pass {
  const { products, inputs, tokens, capabilities } = all;
  const loads = Math.max(...products.map(({ weight }) => loadsOf(inputs[weight]!)));
  const most = Math.max(...products.map(({ weight }) => loadQuads(inputs[weight]!))) as 2 | 4 | 8;
  // Few threads hold many rows of x but badly.
  const rowsAtOnce = tokens === 1 ? tuning[most].rowsAtOnce : 4;
  const threads = powerOfTwo(loads, 32, Math.min(tuning[most].threads, capabilities.threads));
  const families = familiesOf(products, ({ out }) => Math.ceil(out / rowsAtOnce));
  const types: Record<number, string> = {};
  for (const { x, weight } of products) {
    const type = loadType(inputs[weight]!);
    if (type) types[weight] = type;
    if (readsQuads(all, x)) types[x] = 'array<vec4<f32>>';
  }
  const cells = rowsAtOnce * tokens;
  return {
    grid: gridOf(families.at(-1)!.end),
    threads,
    types,
    source: (args) => {
      const weights = [...new Set(products.map(({ weight }) => weight))];
      const { subgroups } = capabilities;
      const partsOf = Math.max(1, threads / 4);
      const every = Array.from({ length: cells }, (_, cell) => cell);
      // Every sum has a name of its own: an array that is indexed in a loop would lie in slow memory.
      const sums = subgroups
        ? wgsl`
  ${every.map((cell) => `let all_${cell} = subgroupAdd(sum_${cell});`).join('\n  ')}
  if (lane == 0u) {
    ${every.map((cell) => `parts[${cell * partsOf}u + thread / lanes] = all_${cell};`).join('\n    ')}
  }
  workgroupBarrier();
  if (thread < ${cells}u) {
    var value = 0.0;
    for (var i = 0u; i < (${threads}u + lanes - 1u) / lanes; i++) { value += parts[thread * ${partsOf}u + i]; }
    finish(group_index, thread / ${rowsAtOnce}u, thread % ${rowsAtOnce}u, value);
  }`
        : every
            .map(
              (cell) => wgsl`
  parts[thread] = sum_${cell};
  workgroupBarrier();
  for (var half = ${threads / 2}u; half > 0u; half >>= 1u) {
    if (thread < half) { parts[thread] += parts[thread + half]; }
    workgroupBarrier();
  }
  if (thread == 0u) { finish(group_index, ${Math.floor(cell / rowsAtOnce)}u, ${cell % rowsAtOnce}u, parts[0]); }
  workgroupBarrier();`,
            )
            .join('');
      const partCount = subgroups ? cells * Math.max(1, threads / 4) : threads;
      return {
        subgroups,
        module: wgsl`${unpacking}
var<workgroup> parts: array<f32, ${partCount}>;
${weights.map((weight) => loadDot(`dot_${weight}`, args.inputs[weight]!)).join('\n')}
${rowReaders(
  products,
  args.inputs,
  products.every(({ weight }) => linesOf(inputs[weight]!).length % 8 === 0),
)}
fn finish(group_index: u32, t: u32, row: u32, value: f32) {
  ${byGroup(
    families.flatMap(({ members }) => members),
    (member) => `let o = (group_index - ${member.start}u) * ${rowsAtOnce}u + row;
    if (o < ${member.out}u) { ${member.store(args)} }`,
  )}
}`,
        main: wgsl`
  let group_index = ${flatGroup};
  ${every.map((cell) => `var sum_${cell} = 0.0;`).join(' ')}
  ${byGroup(families, (family) => body(family, rowsAtOnce, threads, tokens, args.inputs))}
  ${sums}`,
      };
    },
  };
}

/** Sums of one product: each chunk of the rows once, with the same chunk of every row of x. */
function body(
  family: Family,
  rowsAtOnce: number,
  threads: number,
  tokens: number,
  inputs: readonly Argument[],
): string {
  const { weight, x } = family;
  const spec = inputs[weight]!.spec;
  const quads = loadQuads(spec);
  const xs = Array.from({ length: quads }, (_, i) => `x${i}`);
  const rows = Array.from({ length: rowsAtOnce }, (_, r) => r);
  const each = Array.from({ length: tokens }, (_, t) => t);
  return wgsl`${declareMember(family, ['start', 'firstRow', 'firstColumn', 'firstOut', 'out'])}
    let row = (group_index - m_start) * ${rowsAtOnce}u;
    ${rows.map((r) => `let line${r} = m_firstOut + min(row + ${r}u, m_out - 1u);`).join(' ')}
    for (var c = thread; c < ${loadsOf(spec)}u; c += ${threads}u) {
      ${each
        .map(
          (t) => `{
        ${xs.map((name, i) => `let ${name} = quad_${x}(m_firstRow + ${t}u, ${4 * quads}u * c + ${4 * i}u + m_firstColumn);`).join('\n        ')}
        ${rows.map((r) => `sum_${t * rowsAtOnce + r} += dot_${weight}(line${r}, c, ${xs.join(', ')});`).join('\n        ')}
      }`,
        )
        .join('\n      ')}
    }`;
}

/** Loads in a line. */
function loadsOf(spec: TensorSpec): number {
  return Math.ceil(linesOf(spec).length / (4 * loadQuads(spec)));
}
