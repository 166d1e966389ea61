import { bytesFor } from '@rwkv-js/tensor';
import type { Kernel, Pass } from '../kernel.ts';
import { flatGroup, gridOf, wgsl } from '../wgsl.ts';
import type { Member, Products } from './product.ts';

/** Rows of x by results that a work group makes. */
export interface TileSize {
  readonly rows: number;
  readonly columns: number;
}

/** Statements with which a thread fills its part of a tile. */
export interface Fill {
  readonly declare: string;
  readonly load: string;
  readonly store: string;
}

/** A thread's blocks one by one; those past the last are guarded where threads do not come out even. */
export function fillOf(blocks: number, threads: number, block: (u: number) => Fill): Fill {
  const parts = range(Math.ceil(blocks / threads)).map((u) => {
    const part = block(u);
    if ((u + 1) * threads <= blocks) return part;
    const guard = (text: string): string =>
      `if (thread + ${u * threads}u < ${blocks}u) { ${text} }`;
    return { declare: part.declare, load: guard(part.load), store: guard(part.store) };
  });
  const all = (name: keyof Fill): string => parts.map((part) => part[name]).join('\n      ');
  return { declare: all('declare'), load: all('load'), store: all('store') };
}

export function range(count: number): readonly number[] {
  return Array.from({ length: count }, (_, i) => i);
}

/** How tiles of several products end: at once, or in a second dispatch. */
export interface TileEnd {
  readonly tokens: number;
  readonly members: readonly Member[];
  /** Work groups that share the depth of one tile. */
  readonly slices: number;
}

/**
 * True where the first dispatch leaves its sums in the working memory [slices, tokens, outs], and a second
 * adds them up and finishes: where work groups share the depth of a tile, and where a kernel has several
 * products, whose ends are worth no place in every thread's text.
 */
function isDeferred({ members, slices }: TileEnd): boolean {
  return slices > 1 || members.length > 1;
}

/** `fn put(slice, base, out, t, o, value)`: takes one sum of the first dispatch. */
export function putter(end: TileEnd, store: string, scratch: string): string {
  const { tokens, members } = end;
  return wgsl`
fn put(slice: u32, base: u32, out: u32, t: u32, o: u32, value: f32) {
  if (t < ${tokens}u && o < out) {
    ${isDeferred(end) ? `${scratch}[(slice * ${tokens}u + t) * ${outsOf(members)}u + base + o] = value;` : store}
  }
}`;
}

/** Where a product's results begin in the working memory. */
export function baseOf(members: readonly Member[], member: Member): number {
  return outsOf(members.slice(0, members.indexOf(member)));
}

/** The dispatches of a kernel of tiles, the first of which is given, and what they move. */
export function finished(
  first: Pass,
  { inputs }: Products,
  { rows, columns }: TileSize,
  end: TileEnd,
): Kernel {
  const { tokens, members, slices } = end;
  const outs = outsOf(members);
  const cells = tokens * outs;
  const scratchBytes = isDeferred(end) ? 4 * slices * cells : 0;
  // The weight is read for each tile of rows, x for each tile of columns.
  const ofWeights = members.reduce(
    (sum, { out, depth, weight }) => sum + bytesFor(inputs[weight]!.dtype, out * depth),
    0,
  );
  const ofRows = members.reduce(
    (sum, { out, depth }) => sum + 4 * tokens * depth * (Math.ceil(out / columns) - 1),
    0,
  );
  const again = {
    bytesRead: ofWeights * (Math.ceil(tokens / rows) - 1) + ofRows + scratchBytes,
    bytesWritten: scratchBytes,
  };
  if (!isDeferred(end)) return { passes: [first], again };
  const second: Pass = {
    grid: gridOf(Math.ceil(cells / 256)),
    threads: 256,
    source: (args) => ({
      main: wgsl`
  let cell = ${flatGroup} * 256u + thread;
  if (cell >= ${cells}u) { return; }
  var value = 0.0;
  for (var slice = 0u; slice < ${slices}u; slice++) { value += ${args.scratch}[slice * ${cells}u + cell]; }
  let t = cell / ${outs}u;
  let column = cell % ${outs}u;
  ${members
    .map(
      (
        member,
      ) => `if (column >= ${baseOf(members, member)}u && column < ${baseOf(members, member) + member.out}u) {
    let o = column - ${baseOf(members, member)}u;
    ${member.store(args)}
  }`,
    )
    .join('\n  ')}`,
    }),
  };
  return { passes: [first, second], scratchBytes, again };
}

function outsOf(members: readonly Member[]): number {
  return members.reduce((sum, { out }) => sum + out, 0);
}
