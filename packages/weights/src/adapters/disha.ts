import type { WeightSource } from '@rwkv-js/tensor';
import type { MatrixChange, MatrixChanges } from './adapter.ts';
import { readFloats, shapeOf } from './floats.ts';

const ending = '.disha';

/** DiSHA, once called Bone, in its two modes; the number of axes tells them apart. Specification, DiSHA. */
export function disha(source: WeightSource): MatrixChanges {
  const changes = new Map<string, MatrixChange>();
  for (const name of source.tensors.keys()) {
    if (!name.endsWith(ending)) continue;
    const axes = shapeOf(source, name, [2, 3]).length;
    const change = axes === 2 ? bone(source, name) : bat(source, name);
    changes.set(`${name.slice(0, -ending.length)}.weight`, change);
  }
  return changes;
}

/** D [rank, out]: W[o, c] + D[c mod rank, o]. The same as a product with a matrix that sums the input's groups. */
function bone(source: WeightSource, name: string): MatrixChange {
  const [rank, outOf] = shapeOf(source, name, [2]);
  return {
    misfit: ([out]) => (out === outOf ? undefined : `${outOf} rows`),
    async addTo(weights, [out, width], how) {
      const d = await readFloats(source, name, how);
      for (let o = 0; o < out; o++) {
        for (let c = 0; c < width; c++) weights[o * width + c] += d[(c % rank) * out + o];
      }
    },
    lowRank: {
      rank,
      async factors([out, width], how) {
        const d = await readFloats(source, name, how);
        const down = new Float32Array(rank * width);
        for (let c = 0; c < width; c++) down[(c % rank) * width + c] = 1;
        const up = Float32Array.from(d, (_, at) => d[(at % rank) * out + Math.floor(at / rank)]);
        return { down, up };
      },
    },
  };
}

/** D [in / rank, rank, rank]: every block of rank × rank, W_ab + W_ab · D_b + D_b. */
function bat(source: WeightSource, name: string): MatrixChange {
  const [blocks, rank, rankAgain] = shapeOf(source, name, [3]);
  return {
    misfit([out, width]) {
      const fits = rank === rankAgain && blocks * rank === width && out % rank === 0;
      return fits ? undefined : `${blocks * rank} columns and a multiple of ${rank} rows`;
    },
    async addTo(weights, [out, width], how) {
      const d = await readFloats(source, name, how);
      const before = new Float32Array(rank);
      for (let o = 0; o < out; o++) {
        for (let b = 0; b < blocks; b++) {
          const row = weights.subarray(o * width + b * rank, o * width + (b + 1) * rank);
          before.set(row);
          for (let c = 0; c < rank; c++) {
            const column = b * rank * rank + c;
            let sum = d[column + (o % rank) * rank];
            for (let k = 0; k < rank; k++) sum += before[k] * d[column + k * rank];
            row[c] = before[c] + sum;
          }
        }
      }
    },
    lowRank: undefined,
  };
}
