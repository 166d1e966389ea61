import type { Kernel, Pass } from '../kernel.ts';
import { wgsl } from '../wgsl.ts';
import { quadReader, quadType, unpacking } from './matrix.ts';
import {
  byGroup,
  declareMember,
  familiesOf,
  readsQuads,
  rowReaders,
  type Activation,
  type Family,
  type Products,
} from './product.ts';
import {
  baseOf,
  fillOf,
  finished,
  putter,
  range,
  type Fill,
  type TileEnd,
  type TileSize,
} from './tiles.ts';

/** Sizes of a tile: rows of x by results, and the depth that lies in work group memory at once. */
interface Tile extends TileSize {
  readonly depth: number;
  /** Rows and results of one thread. */
  readonly ofThread: readonly [rows: number, columns: number];
}

/** Depth below which tiles are small: there is little to do in each, so they must be many. */
const shallow = 512;

function tileFor(tokens: number, depth: number, memory: number): Tile {
  if (tokens <= 16) return { rows: 16, columns: 64, depth: 32, ofThread: [4, 4] };
  if (tokens <= 32 && depth < shallow) {
    return { rows: 32, columns: 32, depth: 32, ofThread: [4, 4] };
  }
  if (tokens <= 32) {
    return memory < 21504
      ? { rows: 32, columns: 64, depth: 16, ofThread: [8, 4] }
      : { rows: 32, columns: 128, depth: 32, ofThread: [8, 4] };
  }
  if (tokens < 128 || memory < 17408) {
    return { rows: 64, columns: 64, depth: 16, ofThread: [8, 4] };
  }
  return { rows: 128, columns: 128, depth: 16, ofThread: [8, 8] };
}

/** Threads that keep a large accelerator busy. */
const enoughThreads = 2 ** 16;

/**
 * Many rows of x [tokens, in] with a weight [out, in] or, transposed, [in, out].
 *
 * A work group makes a tile of the result. Parts of x and of the weight, widened to f32, lie in memory of
 * the work group, four numbers of a row of the tile together, while every thread adds their products to
 * its own small block. The weight is read once for each tile of rows, x once for each tile of columns.
 *
 * Where there are few tiles, work groups share the depth of one and leave parts in the working memory
 * [slices, tokens, outs], which a second dispatch adds up and finishes; so it is, too, where a kernel has
 * several products, whose ends are worth no place in every thread's text.
 */
export function tiledProduct(all: Products): Kernel {
  const { products, inputs, tokens, capabilities } = all;
  const least = Math.min(...products.map((product) => product.depth));
  const tile = tileFor(tokens, least, capabilities.workgroupMemory);
  const { rows, columns, depth } = tile;
  const [own, across] = tile.ofThread;
  const threads = (rows / own) * (columns / across);
  const families = familiesOf(products, ({ out }) => Math.ceil(out / columns));
  const types: Record<number, string> = {};
  for (const { x, weight } of products) {
    const type = quadType(inputs[weight]!);
    if (type) types[weight] = type;
    if (readsQuads(all, x)) types[x] = 'array<vec4<f32>>';
  }
  const groups = families.at(-1)!.end * Math.ceil(tokens / rows);
  const slices = Math.max(
    1,
    Math.min(Math.ceil(enoughThreads / threads / groups), Math.floor(least / (4 * depth)), 16),
  );
  const members = families.flatMap((family) => family.members);
  const end: TileEnd = { tokens, members, slices };
  const first: Pass = {
    grid: [families.at(-1)!.end, Math.ceil(tokens / rows), slices],
    threads,
    types,
    source: (args) => ({
      module: wgsl`${unpacking}
var<workgroup> tile_x: array<vec4f, ${strideOf(rows) * depth}>;
var<workgroup> tile_w: array<vec4f, ${strideOf(columns) * depth}>;
${[...new Set(products.map(({ weight }) => weight))].map((weight) => quadReader(`weight_${weight}`, args.inputs[weight]!)).join('\n')}
${rowReaders(products, args.inputs)}
${putter(end, products[0]!.store(args), args.scratch)}`,
      main: wgsl`
  var sums: array<array<vec4f, ${across / 4}>, ${own}>;
  let first_row = group.y * ${rows}u;
  // Where the thread's block lies in the tile.
  let block_row = (thread / ${columns / across}u) * ${own}u;
  let block_column = (thread % ${columns / across}u) * 4u;
  let group_index = group.x;
  ${byGroup(families, (family) => body(family, tile, slices, threads, tokens))}
  var base = 0u;
  var out = 0u;
  var first_out = 0u;
  ${byGroup(
    members,
    (member) =>
      `base = ${baseOf(members, member)}u; out = ${member.out}u; first_out = (group_index - ${member.start}u) * ${columns}u;`,
  )}
  ${range(own)
    .flatMap((i) =>
      range(across).map(
        (j) =>
          `put(group.z, base, out, first_row + block_row + ${i}u, first_out + block_column + ${(j >> 2) * (columns / across) * 4 + (j & 3)}u, sums[${i}][${j >> 2}][${j & 3}]);`,
      ),
    )
    .join('\n  ')}`,
    }),
  };
  return finished(first, all, tile, end);
}

/**
 * Both tiles are filled with blocks of four by four, turned so that four neighbours share a vector. How many
 * blocks a thread has is known, so their loads wait side by side. Depths lie in the order 0, 4, 8, …, 1, 5, …, the
 * same in both tiles.
 */
function body(
  family: Family,
  { rows, columns, depth, ofThread: [own, across] }: Tile,
  slices: number,
  threads: number,
  tokens: number,
): string {
  const { weight, x, transposed } = family;
  const act: Activation = family.members[0]!.activation ?? ((value) => value);
  const turned = (
    name: string,
    size: number,
    load: (line: string, quad: string) => string,
  ): Fill => {
    const blocks = (size / 4) * (depth / 4);
    return fillOf(blocks, threads, (u) => {
      const b = `(thread + ${u * threads}u)`;
      const [line, quad] = [`(${b} / ${depth / 4}u) * 4u`, `(${b} % ${depth / 4}u)`];
      const at = `${quad} * ${strideOf(size)}u + ${b} / ${depth / 4}u`;
      const r = (i: number): string => `${name}_${u}_${i}`;
      return {
        declare: range(4)
          .map((i) => `var ${r(i)} = vec4f();`)
          .join(' '),
        load: range(4)
          .map((i) => `${r(i)} = ${load(`${line} + ${i}u`, quad)};`)
          .join(' '),
        store: range(4)
          .map(
            (k) =>
              `tile_${name}[${at} + ${((k * depth) / 4) * strideOf(size)}u] = vec4f(${range(4)
                .map((i) => `${r(i)}[${k}]`)
                .join(', ')});`,
          )
          .join(' '),
      };
    });
  };
  const fills = [
    turned('x', rows, (line, quad) =>
      act(
        `quad_${x}(m_firstRow + min(first_row + ${line}, ${tokens - 1}u), m_firstColumn + k + 4u * ${quad})`,
        'vec4f',
      ),
    ),
    transposed
      ? fillOf((columns / 4) * depth, threads, (u) => {
          const b = `(thread + ${u * threads}u)`;
          const [line, quad] = [`(${b} / ${columns / 4}u)`, `(${b} % ${columns / 4}u)`];
          return {
            declare: `var w_${u} = vec4f();`,
            load: `w_${u} = vec4f(); if (k + ${line} < m_depth) { w_${u} = weight_${weight}(m_firstOut + k + ${line}, first_out / 4u + ${quad}); }`,
            store: `tile_w[((${line} & 3u) * ${depth / 4}u + (${line} >> 2u)) * ${strideOf(columns)}u + ${quad}] = w_${u};`,
          };
        })
      : turned(
          'w',
          columns,
          (line, quad) =>
            `weight_${weight}(m_firstOut + min(first_out + ${line}, m_out - 1u), k / 4u + ${quad})`,
        ),
  ];
  const all = (part: keyof Fill): string => fills.map((fill) => fill[part]).join('\n      ');
  return wgsl`${declareMember(family, ['start', 'firstRow', 'firstColumn', 'depth', 'firstOut', 'out'])}
    let first_out = (group_index - m_start) * ${columns}u;
    ${
      slices === 1
        ? 'let begin = 0u; let end = m_depth;'
        : `let share = ((m_depth + ${slices * depth - 1}u) / ${slices * depth}u) * ${depth}u;
    let begin = group.z * share;
    let end = min(begin + share, m_depth);`
    }
    for (var k = begin; k < end; k += ${depth}u) {
      ${all('declare')}
      ${all('load')}
      ${all('store')}
      workgroupBarrier();
      for (var d = 0u; d < ${depth}u; d++) {
        ${range(own / 4)
          .map((i) => `let x${i} = tile_x[d * ${strideOf(rows)}u + (block_row >> 2u) + ${i}u];`)
          .join(' ')}
        ${range(across / 4)
          .map(
            (j) =>
              `let w${j} = tile_w[d * ${strideOf(columns)}u + (block_column >> 2u) + ${j * (columns / across)}u];`,
          )
          .join(' ')}
        ${range(own)
          .flatMap((i) =>
            range(across / 4).map((j) => `sums[${i}][${j}] += x${i >> 2}[${i & 3}] * w${j};`),
          )
          .join(' ')}
      }
      workgroupBarrier();
    }`;
}

/**
 * Vectors of four from one depth of a tile to the next: with one that is left out, threads that write
 * different depths side by side meet different banks of the memory.
 */
function strideOf(size: number): number {
  return size / 4 + 1;
}
