import { FormatError, type Shape, type WeightSource } from '@rwkv-js/tensor';
import { quote } from '../quote.ts';
import type { LowRank, MatrixChange } from './adapter.ts';
import { readFloats, shapeOf } from './floats.ts';

/** Two factors in a file: down [rank, in] and up [out, rank], and what their product is multiplied by. */
export interface FactorPair {
  readonly source: WeightSource;
  readonly down: string;
  readonly up: string;
  readonly scale: number;
}

/**
 * Pairs of factors by the module that they are for, `blocks.3.att.key`: `{module}{down}` and `{module}{up}`.
 *
 * @throws FormatError for a factor without its other, or shapes that do not fit together.
 */
export function factorPairs(
  source: WeightSource,
  endings: { readonly down: string; readonly up: string },
  scaleOf: (rank: number) => number,
): ReadonlyMap<string, FactorPair> {
  const pairs = new Map<string, FactorPair>();
  for (const name of source.tensors.keys()) {
    const ending = [endings.down, endings.up].find((end) => name.endsWith(end));
    if (ending === undefined) continue;
    const module = name.slice(0, -ending.length);
    const [down, up] = [module + endings.down, module + endings.up];
    for (const factor of [down, up]) {
      if (source.tensors.has(factor)) continue;
      throw new FormatError(
        `Reading ${source.label}: it has ${quote(name)} and no ${quote(factor)}; a part of the ` +
          `adapter is missing.`,
      );
    }
    const [rank] = shapeOf(source, down, [2]);
    const [, rankOfUp] = shapeOf(source, up, [2]);
    if (rank !== rankOfUp) {
      throw new FormatError(
        `Reading ${source.label}: ${quote(down)} has ${rank} rows and ${quote(up)} has ${rankOfUp} ` +
          `columns; both are the rank, so they must be the same.`,
      );
    }
    pairs.set(module, { source, down, up, scale: scaleOf(rank) });
  }
  return pairs;
}

/** W + Σ scale · up · down over the pairs. */
export function lowRankChange(pairs: readonly FactorPair[]): MatrixChange {
  const shapes = pairs.map(({ source, down, up }) => {
    const [rank, width] = shapeOf(source, down, [2]);
    return { out: shapeOf(source, up, [2])[0], rank, width };
  });
  const rank = shapes.reduce((sum, shape) => sum + shape.rank, 0);
  const lowRank: LowRank = {
    rank,
    async factors([out, width], how) {
      const down = new Float32Array(rank * width);
      const up = new Float32Array(out * rank);
      let at = 0;
      for (const [i, pair] of pairs.entries()) {
        down.set(await readFloats(pair.source, pair.down, how), at * width);
        const part = await readFloats(pair.source, pair.up, how);
        const columns = shapes[i].rank;
        for (let o = 0; o < out; o++) {
          for (let j = 0; j < columns; j++) {
            up[o * rank + at + j] = pair.scale * part[o * columns + j];
          }
        }
        at += columns;
      }
      return { down, up };
    },
  };
  return {
    lowRank,
    misfit([out, width]) {
      const other = shapes.find((shape) => shape.out !== out || shape.width !== width);
      return other && `[${other.out}, ${other.width}]`;
    },
    async addTo(weights, shape, how) {
      const { down, up } = await lowRank.factors(shape, how);
      addProduct(weights, shape, down, up, rank);
    },
  };
}

/** weights + up · down; sums of a row are kept in doubles and rounded once. */
function addProduct(
  weights: Float32Array,
  [out, width]: Shape,
  down: Float32Array,
  up: Float32Array,
  rank: number,
): void {
  for (let o = 0; o < out; o++) {
    const target = weights.subarray(o * width, (o + 1) * width);
    const row = Float64Array.from(target);
    for (let j = 0; j < rank; j++) {
      const factor = up[o * rank + j];
      const from = j * width;
      for (let i = 0; i < width; i++) row[i] += factor * down[from + i];
    }
    target.set(row);
  }
}
