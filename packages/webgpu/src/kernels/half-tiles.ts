import { isPacked, type TensorSpec } from '@rwkv-js/tensor';
import type { Argument } from '../argument.ts';
import { wgsl } from '../wgsl.ts';
import { linesOf, loadQuads, loadsOf } from './matrix.ts';
import type { Family } from './product.ts';
import { fillOf, range, type Fill, type TileSize } from './tiles.ts';

/** A tile, and the depth of it that lies in work group memory at once. */
export interface HalfTile extends TileSize {
  readonly depth: number;
}

/**
 * Halves between the lines of a tile: eight that are left out keep lines that are read together in
 * different banks of the memory, and each at the 16 bytes that the units ask for.
 */
const gap = 8;

/** Halves of the tile of x, and of that of a weight, whose lines are those of one result or of one depth. */
function sizesOf({ rows, columns, depth }: HalfTile): readonly [x: number, weight: number] {
  return [rows * (depth + gap), Math.max(columns * (depth + gap), depth * (columns + gap))];
}

/** Halves from one line of the tile of x, and of that of a weight, to the next. */
export function stridesOf(
  { transposed }: Family,
  { columns, depth }: HalfTile,
): readonly [x: number, weight: number] {
  return [depth + gap, (transposed ? columns : depth) + gap];
}

/** Halves that a weight's numbers are the sum of: f16 is one. */
export function halvesOf(spec: TensorSpec): 1 | 2 {
  return spec.dtype === 'f16' ? 1 : 2;
}

/** Bytes of work group memory that the tiles take. */
export function halfTileBytes(tile: HalfTile, halvesOfWeight: number): number {
  const [x, weight] = sizesOf(tile);
  return 2 * (2 * x + halvesOfWeight * weight);
}

/** The tiles, `upper_` and `lower_` of `x` and `w`, and how a number is parted. */
export function declareHalfTiles(tile: HalfTile, halvesOfWeight: number): string {
  const [x, weight] = sizesOf(tile);
  return wgsl`
var<workgroup> upper_x: array<f16, ${x}>;
var<workgroup> lower_x: array<f16, ${x}>;
var<workgroup> upper_w: array<f16, ${weight}>;
${halvesOfWeight === 2 ? `var<workgroup> lower_w: array<f16, ${weight}>;` : ''}
// What a half holds of each number, cut off by its bits: a driver may take a number that was made a half
// and an f32 again for itself.
fn cut_off(value: vec4f) -> vec4f {
  return bitcast<vec4f>(bitcast<vec4u>(value) & vec4u(0xffffe000u));
}
// The same, but for numbers that are too small for a half: all of them is left to the lower part.
fn upper_part(value: vec4f) -> vec4f {
  return select(vec4f(), cut_off(value), abs(value) >= vec4f(0x1p-14));
}`;
}

/**
 * How x and a weight come into their tiles: loaded for a depth \`k\`, stored a step later. In between nothing is
 * done to what was loaded, not even a choice: whoever looks at a number waits for it. So places past the depth
 * are clamped to what is there, and x is 0 where it is stored.
 */
export function fillHalfTiles(
  family: Family,
  inputs: readonly Argument[],
  tile: HalfTile,
  { threads, tokens }: { readonly threads: number; readonly tokens: number },
): readonly Fill[] {
  const { x, transposed, members } = family;
  const { rows, columns, depth } = tile;
  const act = members[0]!.activation ?? ((value: string) => value);
  const whole = members.every((member) => member.depth % depth === 0);
  const weight = inputs[family.weight]!;
  const one = halvesOf(weight.spec) === 1;
  const [strideX, strideW] = stridesOf(family, tile);
  const { load, quad, scale } = loadsOf(`weight_${family.weight}`, weight);
  const size = 4 * loadQuads(weight.spec);
  const loads = linesOf(weight.spec).length / size;
  const width = inputs[x]!.spec.shape.at(-1)!;
  const inQuads = inputs[x]!.type === 'array<vec4<f32>>' || isPacked(inputs[x]!.spec.dtype);
  const columnOf = (block: string): string => `m_firstColumn + k + 4u * ${block}`;
  const kept = (value: string, block: string): string =>
    whole
      ? value
      : `select(vec4f(), ${value}, vec4u(k + 4u * ${block}) + vec4u(0u, 1u, 2u, 3u) < vec4u(m_depth))`;
  const lineOf = (line: string): string => {
    if (!transposed) return `m_firstOut + min(first_out + ${line}, m_out - 1u)`;
    return `m_firstOut + ${whole ? `k + ${line}` : `min(k + ${line}, m_depth - 1u)`}`;
  };
  const loadOf = (block: string): string => {
    const at = `${transposed ? 'first_out' : 'k'} / ${size}u + ${block}`;
    return whole && !transposed ? at : `min(${at}, ${loads - 1}u)`;
  };
  return [
    fillBlocks(threads, 'x', { lines: rows, length: depth, size: 4, stride: strideX }, (own) => ({
      declare: `var ${own} = vec4f();`,
      load: (line, block) =>
        `${own} = quad_${x}(m_firstRow + min(first_row + ${line}, ${tokens - 1}u), ${inQuads && !whole ? `min(${columnOf(block)}, ${width - 4}u)` : columnOf(block)});`,
      store: (_, block) =>
        split('x', `0.0625 * ${kept(act(own, 'vec4f'), block)}`, 'upper_part(value)', 'at'),
    })),
    fillBlocks(
      threads,
      'w',
      {
        lines: transposed ? depth : columns,
        length: transposed ? columns : depth,
        size,
        stride: strideW,
      },
      (own) => ({
        declare: `var ${own} = vec4u();${scale ? ` var scale_${own} = 0u;` : ''}`,
        load: (line, block) =>
          `let line = ${lineOf(line)}; let load_at = ${loadOf(block)}; ${own} = ${load('line', 'load_at')};${scale ? ` scale_${own} = ${scale.word('line', 'load_at')};` : ''}`,
        store: (line, block) => {
          if (one) return copy(own);
          const head = scale
            ? `let line = ${lineOf(line)}; let load_at = ${loadOf(block)}; let scale = 16.0 * ${scale.from(`scale_${own}`, 'line', 'load_at')};`
            : 'let scale = 16.0;';
          const parts = range(size / 4).map((i) =>
            split('w', `scale * ${quad(own, i)}`, 'cut_off(value)', `at + ${4 * i}u`),
          );
          return [head, ...parts].join('\n      ');
        },
      }),
    ),
  ];
}

/** Lines of a tile, and how many of a line's numbers a thread brings at once. */
interface Lines {
  readonly lines: number;
  readonly length: number;
  readonly size: number;
  /** Halves from one line to the next. */
  readonly stride: number;
}

/** How a block of numbers is brought: in the text, `own` is the thread's, `at` its place in the tile. */
type Block = (own: string) => {
  readonly declare: string;
  readonly load: (line: string, block: string) => string;
  readonly store: (line: string, block: string) => string;
};

function fillBlocks(
  threads: number,
  name: 'x' | 'w',
  { lines, length, size, stride }: Lines,
  blockOf: Block,
): Fill {
  const perLine = length / size;
  return fillOf(lines * perLine, threads, (u) => {
    const place = `(thread + ${u * threads}u)`;
    const [line, block] = [`(${place} / ${perLine}u)`, `(${place} % ${perLine}u)`];
    const { declare, load, store } = blockOf(`${name}_${u}`);
    return {
      declare,
      load: `{ ${load(line, block)} }`,
      store: `{ let at = ${line} * ${stride}u + ${block} * ${size}u; ${store(line, block)} }`,
    };
  });
}

/** Four f32 become their two halves. */
function split(name: 'x' | 'w', value: string, upper: string, at: string): string {
  const places = range(4).map(
    (i) =>
      `upper_${name}[${at} + ${i}u] = upper[${i}]; lower_${name}[${at} + ${i}u] = lower[${i}];`,
  );
  return `{ let value = ${value}; let cut = ${upper};
      let upper = vec4<f16>(cut); let lower = vec4<f16>((value - cut) * 1024.0);
      ${places.join(' ')} }`;
}

/** Eight halves stay as they are. */
function copy(words: string): string {
  const places = range(8).map((i) => `upper_w[at + ${i}u] = ${i < 4 ? 'low' : 'high'}[${i % 4}];`);
  return `let low = bitcast<vec4<f16>>(${words}.xy); let high = bitcast<vec4<f16>>(${words}.zw);
      ${places.join(' ')}`;
}
