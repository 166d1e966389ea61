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

/**
 * Rows of the weight that a work group multiplies at once. x is read once for all of them, and where it
 * becomes fixed-point numbers that is work.
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
 * weight is a run of memory, read once: what is moved is the weight. x comes from the cache. Sums of the
 * threads meet through subgroups where there are some, else in memory of the work group.
 */
export function matrixVector(all: Products): Pass {
  const { products, inputs, tokens, capabilities } = all;
  const loads = Math.max(...products.map(({ weight }) => loadCount(inputs[weight]!)));
  const most = Math.max(...products.map(({ weight }) => loadQuads(inputs[weight]!))) as 2 | 4 | 8;
  const outs = products.reduce((sum, { out }) => sum + out, 0);
  const rowsAtOnce = rowsOf(most, tokens, outs);
  const threads = powerOfTwo(loads, 32, Math.min(mostThreads[most], capabilities.threads));
  const fixedPoint = capabilities.integerDot && tokens === 1;
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
      const weights = new Map(
        products.map(({ weight }) => [weight, loadsOf(`load_${weight}`, args.inputs[weight]!)]),
      );
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
${[...weights.values()].map(({ module }) => module).join('')}
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
  ${byGroup(families, (family) =>
    body(family, weights.get(family.weight)!, {
      rowsAtOnce,
      threads,
      tokens,
      inputs: args.inputs,
      fixedPoint,
    }),
  )}
  ${sums}`,
      };
    },
  };
}

interface Shape {
  readonly rowsAtOnce: number;
  readonly threads: number;
  readonly tokens: number;
  readonly inputs: readonly Argument[];
  readonly fixedPoint: boolean;
}

/** Sums of one product: each load of the rows once, with the numbers of every row of x that meet it. */
function body(
  family: Family,
  { load, quad, scale }: Loads,
  { rowsAtOnce, threads, tokens, inputs, fixedPoint }: Shape,
): string {
  const { weight, x } = family;
  const spec = inputs[weight]!.spec;
  const quads = loadQuads(spec);
  const rows = Array.from({ length: rowsAtOnce }, (_, r) => r);
  const each = Array.from({ length: tokens }, (_, t) => t);
  const whole = fixedPoint && inputs[x]!.spec.dtype === 'f32' && takesFixedPoint(spec);
  const xs = (t: number): string =>
    Array.from(
      { length: quads },
      (_, i) =>
        `let x${i} = quad_${x}(m_firstRow + ${t}u, ${4 * quads}u * c + ${4 * i}u + m_firstColumn);`,
    ).join('\n        ');
  const dot = (r: number): string =>
    Array.from({ length: quads }, (_, i) => `dot(${quad(`w${r}`, i)}, x${i})`).join(' + ');
  return wgsl`${declareMember(family, ['start', 'firstRow', 'firstColumn', 'firstOut', 'out'])}
    let row = (group_index - m_start) * ${rowsAtOnce}u;
    ${rows.map((r) => `let line${r} = m_firstOut + min(row + ${r}u, m_out - 1u);`).join(' ')}
    for (var c = thread; c < ${loadCount(spec)}u; c += ${threads}u) {
      ${rows.map((r) => `let w${r} = ${load(`line${r}`, 'c')};`).join('\n      ')}
      ${scale ? rows.map((r) => `let s${r} = ${scale(`line${r}`, 'c')};`).join('\n      ') : ''}
      ${each
        .map(
          (t) => `{
        ${xs(t)}
        ${
          whole
            ? toFixedPoint(spec) +
              rows
                .map((r) =>
                  addFixedPoint(spec, { sum: `sum_${r}`, loaded: `w${r}`, scale: `s${r}` }),
                )
                .join('\n        ')
            : rows
                .map((r) =>
                  scale
                    ? `sum_${t * rowsAtOnce + r} += s${r} * (${dot(r)});`
                    : `sum_${t * rowsAtOnce + r} += ${dot(r)};`,
                )
                .join('\n        ')
        }
      }`,
        )
        .join('\n      ')}
    }`;
}

/** Loads in a line. */
function loadCount(spec: TensorSpec): number {
  return Math.ceil(linesOf(spec).length / (4 * loadQuads(spec)));
}
