import type { Argument } from '../argument.ts';
import type { Pass } from '../kernel.ts';
import { flatGroup, gridOf, powerOfTwo, wgsl } from '../wgsl.ts';
import {
  chunkBytes,
  chunkDot,
  chunkQuads,
  chunkReader,
  chunkType,
  linesOf,
  unpacking,
} from './matrix.ts';
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
export const tuning = {
  plain: { rowsAtOnce: 4, threads: 256 },
  q8: { rowsAtOnce: 4, threads: 256 },
  q4: { rowsAtOnce: 8, threads: 128 },
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
  const chunks = Math.max(...products.map(({ weight }) => linesOf(inputs[weight]!).chunks));
  const least = Math.min(...products.map(({ weight }) => chunkBytes(inputs[weight]!)));
  const { rowsAtOnce, threads: most } =
    least >= 16 ? tuning.plain : least === 8 ? tuning.q8 : tuning.q4;
  const threads = powerOfTwo(chunks, 32, Math.min(most, capabilities.threads));
  const families = familiesOf(products, ({ out }) => Math.ceil(out / rowsAtOnce));
  const types: Record<number, string> = {};
  for (const { x, weight } of products) {
    const type = chunkType(inputs[weight]!);
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
        module: wgsl`${unpacking(capabilities)}
var<workgroup> parts: array<f32, ${partCount}>;
${weights.map((weight) => (tokens === 1 ? chunkDot : chunkReader)(`chunk_${weight}`, args.inputs[weight]!)).join('\n')}
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
  const { chunks } = linesOf(spec);
  const [first, second] = chunkQuads(spec, 'c');
  const rows = Array.from({ length: rowsAtOnce }, (_, r) => r);
  const each = Array.from({ length: tokens }, (_, t) => t);
  return wgsl`${declareMember(family, ['start', 'firstRow', 'firstColumn', 'firstOut', 'out'])}
    let row = (group_index - m_start) * ${rowsAtOnce}u;
    ${rows.map((r) => `let line${r} = m_firstOut + min(row + ${r}u, m_out - 1u);`).join(' ')}
    for (var c = thread; c < ${chunks}u; c += ${threads}u) {
      ${
        tokens === 1
          ? `let low = quad_${x}(m_firstRow, 4u * ${first} + m_firstColumn);
      let high = quad_${x}(m_firstRow, 4u * ${second} + m_firstColumn);
      let sum = dot(low + high, vec4f(1.0));
      ${rows.map((r) => `sum_${r} += chunk_${weight}(line${r}, c, low, high, sum);`).join('\n      ')}`
          : `${rows.map((r) => `let w${r} = chunk_${weight}(line${r}, c);`).join('\n      ')}
      ${each
        .map(
          (t) => `{
        let low = quad_${x}(m_firstRow + ${t}u, 4u * ${first} + m_firstColumn);
        let high = quad_${x}(m_firstRow + ${t}u, 4u * ${second} + m_firstColumn);
        ${rows.map((r) => `sum_${t * rowsAtOnce + r} += dot(w${r}[0], low) + dot(w${r}[1], high);`).join('\n        ')}
      }`,
        )
        .join('\n      ')}`
      }
    }`;
}
