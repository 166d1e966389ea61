import type { Pass, ShaderArguments } from '../kernel.ts';
import { wgsl } from '../wgsl.ts';
import { quadReader, quadType, unpacking } from './matrix.ts';
import {
  byGroup,
  declareMember,
  familiesOf,
  readsQuads,
  rowReaders,
  type Family,
  type Member,
  type Products,
} from './product.ts';

/** Sizes of a tile: rows of x by results, and the depth that lies in work group memory at once. */
interface Tile {
  readonly rows: number;
  readonly columns: number;
  readonly depth: number;
  /** Rows and results of one thread. */
  readonly ofThread: readonly [rows: number, columns: number];
}

function tileFor(tokens: number, outs: number, memory: number): Tile {
  if (tokens <= 16) return { rows: 16, columns: 32, depth: 32, ofThread: [4, 4] };
  if (tokens <= 32) return { rows: 32, columns: 32, depth: 32, ofThread: [4, 4] };
  if (tokens >= 128 && memory >= 16384 && (tokens / 128) * (outs / 128) >= 100) {
    return { rows: 128, columns: 128, depth: 16, ofThread: [8, 8] };
  }
  return { rows: 64, columns: 64, depth: 32, ofThread: [8, 4] };
}

/**
 * Many rows of x [tokens, in] with a weight [out, in] or, transposed, [in, out].
 *
 * A work group makes a tile of the result. Parts of x and of the weight, widened to f32, lie in memory of
 * the work group, four numbers of a row of the tile together, while every thread adds their products to
 * its own small block. The weight is read once for each tile of rows, x once for each tile of columns.
 */
export function tiledProduct(all: Products): Pass {
  const { products, inputs, tokens, capabilities } = all;
  const outs = products.reduce((sum, { out }) => sum + out, 0);
  const tile = tileFor(tokens, outs, capabilities.workgroupMemory);
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
  return {
    grid: [families.at(-1)!.end, Math.ceil(tokens / rows), 1],
    threads,
    types,
    source: (args) => ({
      module: wgsl`${unpacking(capabilities)}
var<workgroup> tile_x: array<vec4f, ${(rows * depth) / 4}>;
var<workgroup> tile_w: array<vec4f, ${(columns * depth) / 4}>;
${[...new Set(products.map(({ weight }) => weight))].map((weight) => quadReader(`weight_${weight}`, args.inputs[weight]!)).join('\n')}
${rowReaders(products, args.inputs)}`,
      main: wgsl`
  var sums: array<array<vec4f, ${across / 4}>, ${own}>;
  let first_row = group.y * ${rows}u;
  // Where the thread's block lies in the tile.
  let block_row = (thread / ${columns / across}u) * ${own}u;
  let block_column = (thread % ${columns / across}u) * 4u;
  let group_index = group.x;
  ${byGroup(families, (family) => body(family, tile, threads, tokens))}
  ${byGroup(
    families.flatMap(({ members }) => members),
    (member) => finish(member, tile, tokens, args),
  )}`,
    }),
  };
}

/** Both tiles are filled with blocks of four by four, turned so that four neighbours share a vector. */
function body(
  family: Family,
  { rows, columns, depth, ofThread: [own, across] }: Tile,
  threads: number,
  tokens: number,
): string {
  const { weight, x, transposed } = family;
  const fill = (size: number, load: (i: string) => string, name: string): string => wgsl`
      for (var b = thread; b < ${(size / 4) * (depth / 4)}u; b += ${threads}u) {
        let quad = b % ${depth / 4}u;
        let line = (b / ${depth / 4}u) * 4u;
        ${[0, 1, 2, 3].map((i) => `let l${i} = ${load(String(i))};`).join(' ')}
        let at = quad * ${size}u + (line >> 2u);
        ${[0, 1, 2, 3].map((k) => `${name}[at + ${(k * size) / 4}u] = vec4f(l0[${k}], l1[${k}], l2[${k}], l3[${k}]);`).join(' ')}
      }`;
  const act = family.members[0]!.activation ?? ((value: string): string => value);
  const ofX = (i: string): string =>
    act(
      `quad_${x}(m_firstRow + min(first_row + line + ${i}u, ${tokens - 1}u), m_firstColumn + k + 4u * quad)`,
    );
  const ofWeight = transposed
    ? wgsl`
      for (var b = thread; b < ${(columns / 4) * depth}u; b += ${threads}u) {
        let quad = b % ${columns / 4}u;
        let line = b / ${columns / 4}u;
        var value = vec4f();
        if (k + line < m_depth) { value = weight_${weight}(m_firstOut + k + line, first_out / 4u + quad); }
        tile_w[line * ${columns / 4}u + quad] = value;
      }`
    : fill(
        columns,
        (i) => `weight_${weight}(m_firstOut + min(first_out + line + ${i}u, m_out - 1u), k / 4u + quad)`,
        'tile_w',
      );
  return wgsl`${declareMember(family, ['start', 'firstRow', 'firstColumn', 'depth', 'firstOut', 'out'])}
    let first_out = (group_index - m_start) * ${columns}u;
    for (var k = 0u; k < m_depth; k += ${depth}u) {
      ${fill(rows, ofX, 'tile_x')}
      ${ofWeight}
      workgroupBarrier();
      for (var d = 0u; d < ${depth}u; d++) {
        ${range(own / 4)
          .map((i) => `let x${i} = tile_x[d * ${rows / 4}u + (block_row >> 2u) + ${i}u];`)
          .join(' ')}
        ${range(across / 4)
          .map((j) => `let w${j} = tile_w[d * ${columns / 4}u + (block_column >> 2u) + ${j * (columns / across)}u];`)
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

function finish(
  member: Member,
  { columns, ofThread: [own, across] }: Tile,
  tokens: number,
  args: ShaderArguments,
): string {
  return wgsl`let first_out = (group_index - ${member.start}u) * ${columns}u;
    for (var i = 0u; i < ${own}u; i++) {
      let t = first_row + block_row + i;
      if (t >= ${tokens}u) { break; }
      for (var j = 0u; j < ${across}u; j++) {
        let o = first_out + block_column + (j >> 2u) * ${(columns / across) * 4}u + (j & 3u);
        if (o < ${member.out}u) {
          let value = sums[i][j >> 2u][j & 3u];
          ${member.store(args)}
        }
      }
    }`;
}

function range(count: number): readonly number[] {
  return Array.from({ length: count }, (_, i) => i);
}
