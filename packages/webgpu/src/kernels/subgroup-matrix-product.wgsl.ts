import type { Argument } from '../argument.ts';
import type { Kernel, Pass } from '../kernel.ts';
import { wgsl } from '../wgsl.ts';
import {
  declareHalfTiles,
  fillHalfTiles,
  halfTileBytes,
  halvesOf,
  stridesOf,
  type HalfTile,
} from './half-tiles.ts';
import { loadsOf, loadType, unpacking } from './matrix.ts';
import {
  byGroup,
  declareMember,
  familiesOf,
  readsQuads,
  rowReaders,
  type Family,
  type Products,
} from './product.ts';
import {
  baseOf,
  finished,
  putter,
  range,
  type Fill,
  type TileEnd,
  type TileSize,
} from './tiles.ts';

/** Rows, columns and depth of a matrix that a subgroup multiplies in one step. */
export const matrixSide = 16;
const side = matrixSide;

/** Threads of the subgroups that hold such matrices. */
export const subgroupThreads = 32;

/** Sizes of a tile, and the part of one subgroup. */
interface Tile extends HalfTile {
  readonly ofSubgroup: TileSize;
}

const square = { rows: 16, columns: 16 };
const tall = { rows: 32, columns: 16 };

/** The tiles by the rows of x that they suit; of those for as many rows, the first that the memory takes. */
const tiles: readonly (readonly [tokens: number, tile: Tile])[] = [
  [16, { rows: 16, columns: 64, depth: 64, ofSubgroup: square }],
  [16, { rows: 16, columns: 64, depth: 32, ofSubgroup: square }],
  [32, { rows: 32, columns: 64, depth: 64, ofSubgroup: tall }],
  [32, { rows: 32, columns: 64, depth: 32, ofSubgroup: tall }],
  [64, { rows: 64, columns: 64, depth: 64, ofSubgroup: { rows: 32, columns: 32 } }],
  [Infinity, { rows: 128, columns: 128, depth: 32, ofSubgroup: { rows: 32, columns: 64 } }],
  [Infinity, { rows: 64, columns: 64, depth: 32, ofSubgroup: { rows: 32, columns: 32 } }],
];

function mostHalves({ products, inputs }: Products): number {
  return Math.max(...products.map(({ weight }) => halvesOf(inputs[weight]!)));
}

function tileFor(all: Products): Tile | undefined {
  const { tokens, capabilities } = all;
  const halves = mostHalves(all);
  return tiles.find(([most, tile]) => {
    const bytes = halfTileBytes(tile, halves) + 4 * side * side * subgroupsOf(tile);
    return tokens <= most && bytes <= capabilities.workgroupMemory;
  })?.[1];
}

function subgroupsOf({ rows, columns, ofSubgroup }: Tile): number {
  return (rows / ofSubgroup.rows) * (columns / ofSubgroup.columns);
}

/** What weights are bound as that are read 16 bytes at a time: those of 16 bits and fewer. */
const wholeLoads = 'array<vec4<u32>>';

/** What x is bound as where its quads are. */
const quads = 'array<vec4<f32>>';

/** True where the adapter's matrix units take a kernel's products; f32 weights, of training, keep to f32. */
export function takesSubgroupMatrices(all: Products): boolean {
  const { products, inputs, capabilities, faint } = all;
  return (
    capabilities.subgroupMatrices &&
    !faint &&
    products.every(({ weight, depth }) => depth > 0 && loadType(inputs[weight]!) === wholeLoads) &&
    tileFor(all) !== undefined
  );
}

/** Threads that keep a large accelerator busy, each with much to do. */
const enoughThreads = 32768;

/** The longest sum that is left to the units, which round every addition towards zero. */
const longestSum = 4096;

/**
 * Many rows of x [tokens, in] with a weight [out, in] or, transposed, [in, out], on an accelerator's matrix
 * units: subgroups multiply 16 × 16 halves and add them up in f32.
 *
 * The result is as near as that of f32 where rows of x have elements of about 1, as those of models do. A
 * number of x is the sum of two halves, of which the lower is kept 1024 times as large, and so is one of a
 * weight that is no f16; products of two lower parts are left out. x is taken 16 times as small, as it may
 * pass 65504, the largest half: below 2²⁰ it keeps 21 bits or, where those are less, is off by 2⁻²², and from
 * there on it becomes infinite. Weights that are split are taken 16 times as large: below 4096 they keep as
 * many bits or are off by 2⁻²⁸. (The splitting follows Ootomo and Yokota, "Recovering single precision accuracy
 * from Tensor Cores", 2022.)
 */
export function subgroupMatrixProduct(all: Products): Kernel {
  const { products, tokens } = all;
  const tile = tileFor(all)!;
  const { rows, columns, depth, ofSubgroup } = tile;
  const [down, along] = [ofSubgroup.rows / side, ofSubgroup.columns / side];
  const perRow = columns / ofSubgroup.columns;
  const subgroups = subgroupsOf(tile);
  const threads = subgroupThreads * subgroups;
  const families = familiesOf(products, ({ out }) => Math.ceil(out / columns));
  const types: Record<number, string> = {};
  for (const { x, weight } of products) {
    types[weight] = wholeLoads;
    if (readsQuads(all, x)) types[x] = quads;
  }
  const groups = families.at(-1)!.end * Math.ceil(tokens / rows);
  const steps = Math.ceil(Math.max(...products.map((product) => product.depth)) / depth);
  const least = Math.ceil(steps / Math.ceil(enoughThreads / threads / groups));
  const stepsOfSlice = Math.min(steps, longestSum / depth, Math.max(2, least));
  const slices = Math.ceil(steps / stepsOfSlice);
  const members = families.flatMap((family) => family.members);
  const end: TileEnd = { tokens, members, slices };
  const halves = mostHalves(all);
  const eachPart = (text: (i: number, j: number) => string): string =>
    range(down)
      .flatMap((i) => range(along).map((j) => text(i, j)))
      .join('\n  ');
  const first: Pass = {
    grid: [families.at(-1)!.end, Math.ceil(tokens / rows), slices],
    threads,
    types,
    source: (args) => ({
      subgroupMatrices: true,
      module: wgsl`${unpacking}
var<workgroup> results: array<f32, ${subgroups * side * side}>;
${declareHalfTiles(tile, halves)}
${[...new Set(products.map(({ weight }) => weight))].map((weight) => loadsOf(`weight_${weight}`, args.inputs[weight]!).module).join('\n')}
${rowReaders(products, args.inputs, true)}
${putter(end, products[0]!.store(args), args.scratch)}`,
      main: wgsl`
  ${eachPart((i, j) => `var upper_${i}_${j}: ${resultType}; var lower_${i}_${j}: ${resultType};`)}
  let first_row = group.y * ${rows}u;
  // Where the subgroup's part lies in the tile.
  let part_row = (subgroup / ${perRow}u) * ${ofSubgroup.rows}u;
  let part_column = (subgroup % ${perRow}u) * ${ofSubgroup.columns}u;
  let group_index = group.x;
  // x is taken 16 times as small; weights that are split make up for it.
  var factor = 1.0;
  ${byGroup(families, (family) => body(family, args.inputs, tile, { share: stepsOfSlice * depth, threads, tokens }))}
  var base = 0u;
  var out = 0u;
  var first_out = 0u;
  ${byGroup(
    members,
    (member) =>
      `base = ${baseOf(members, member)}u; out = ${member.out}u; first_out = (group_index - ${member.start}u) * ${columns}u;`,
  )}
  let own = subgroup * ${side * side}u;
  let t = first_row + part_row + lane / ${side}u;
  let o = first_out + part_column + lane % ${side}u;
  ${eachPart((i, j) => {
    const cells = range((side * side) / subgroupThreads);
    const at = (cell: number): string => `results[own + lane + ${cell * subgroupThreads}u]`;
    const lines = subgroupThreads / side;
    return `{
    subgroupMatrixStore<row_major>(&results, own, upper_${i}_${j}, ${side}u);
    workgroupBarrier();
    ${cells.map((cell) => `let u${cell} = ${at(cell)};`).join(' ')}
    workgroupBarrier();
    subgroupMatrixStore<row_major>(&results, own, lower_${i}_${j}, ${side}u);
    workgroupBarrier();
    ${cells
      .map(
        (cell) =>
          `put(group.z, base, out, t + ${i * side + cell * lines}u, o + ${j * side}u, factor * (u${cell} + ${at(cell)} / 1024.0));`,
      )
      .join('\n    ')}
    workgroupBarrier();
  }`;
  })}`,
    }),
  };
  return finished(first, all, tile, end);
}

const resultType = `subgroup_matrix_result<f32, ${side}, ${side}>`;
const leftType = `subgroup_matrix_left<f16, ${side}, ${side}>`;
const rightType = `subgroup_matrix_right<f16, ${side}, ${side}>`;

/**
 * What is loaded for a step waits in registers while the step before it is multiplied, so that neither the
 * memory nor the units stand still.
 */
function body(
  family: Family,
  inputs: readonly Argument[],
  tile: Tile,
  { share, threads, tokens }: { share: number; threads: number; tokens: number },
): string {
  const { depth, columns, ofSubgroup } = tile;
  const { transposed } = family;
  const one = halvesOf(inputs[family.weight]!.spec) === 1;
  const [strideX, strideW] = stridesOf(family, tile);
  const fills = fillHalfTiles(family, inputs, tile, { threads, tokens });
  const every = (part: keyof Fill): string => fills.map((fill) => fill[part]).join('\n      ');
  const right = (name: string, j: number): string =>
    transposed
      ? `subgroupMatrixLoad<${rightType}, row_major>(&${name}_w, d * ${strideW}u + part_column + ${j * side}u, ${strideW}u)`
      : `subgroupMatrixLoad<${rightType}, col_major>(&${name}_w, (part_column + ${j * side}u) * ${strideW}u + d, ${strideW}u)`;
  const left = (name: string, i: number): string =>
    `subgroupMatrixLoad<${leftType}, row_major>(&${name}_x, (part_row + ${i * side}u) * ${strideX}u + d, ${strideX}u)`;
  const add = (sum: string, a: string, b: string): string =>
    `${sum} = subgroupMatrixMultiplyAccumulate(${a}, ${b}, ${sum});`;
  const [down, along] = [range(ofSubgroup.rows / side), range(ofSubgroup.columns / side)];
  return wgsl`${declareMember(family, ['start', 'firstRow', 'firstColumn', 'depth', 'firstOut', 'out'])}
    let first_out = (group_index - m_start) * ${columns}u;
    let begin = group.z * ${share}u;
    let end = min(begin + ${share}u, m_depth);
    ${one ? 'factor = 16.0;' : ''}
    ${every('declare')}
    if (begin < end) { let k = begin;
      ${every('load')} }
    for (var step = begin; step < end; step += ${depth}u) {
      { let k = step;
      ${every('store')} }
      workgroupBarrier();
      if (step + ${depth}u < end) { let k = step + ${depth}u;
      ${every('load')} }
      for (var d = 0u; d < ${depth}u; d += ${side}u) {
        ${along.map((j) => `let w${j} = ${right('upper', j)}; ${one ? '' : `let v${j} = ${right('lower', j)};`}`).join('\n        ')}
        ${down
          .map(
            (i) => `{ let a = ${left('upper', i)}; let b = ${left('lower', i)};
          ${along
            .map(
              (j) =>
                `${add(`upper_${i}_${j}`, 'a', `w${j}`)} ${add(`lower_${i}_${j}`, 'b', `w${j}`)} ${one ? '' : add(`lower_${i}_${j}`, 'a', `v${j}`)}`,
            )
            .join('\n          ')} }`,
          )
          .join('\n        ')}
      }
      workgroupBarrier();
    }`;
}
