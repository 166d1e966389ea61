import { defineOp, elementCount, type Value } from '@rwkv-js/tensor';
import { forEachHeadStepBackward, headBackwardShapes } from './heads-backward.ts';

/**
 * The gradients of `wkv7`. With G the gradient of the new S [value, key], g that of y, u = S a, and from
 * the last token to the first:
 *
 *     dr = S'ᵀ g        G ← G + g rᵀ, with S' the new S
 *     ddecay = Σ_value G ⊙ S    dk = Gᵀ v    dv = G k    db = Gᵀ u    du = G b    da = Sᵀ du
 *     G ← G diag(decay) + du aᵀ
 *
 * rows: r, decay, k, v, a, b and the cotangent of y [7, tokens, width], stacked so that a kernel has few
 * buffers; state and offsets: those of `wkv7`; stateCotangent: of the new state. Results: the gradients
 * of r to b [6, tokens, width], zero in padding rows, and of the state.
 * Specification: RWKV-7, sequential backward.
 */
export const wkv7Backward = defineOp<
  (
    rows: Value,
    state: Value,
    offsets: Value,
    stateCotangent: Value,
  ) => readonly [rows: Value, state: Value]
>({
  name: 'wkv7Backward',
  arguments: ['rows', 'state', 'offsets', 'stateCotangent'],
  infer([rows, state, offsets, stateCotangent], _, fail) {
    const names = ['r', 'decay', 'k', 'v', 'a', 'b', 'cotangent'];
    return headBackwardShapes(names, rows!, state!, offsets!, stateCotangent!, fail);
  },
  reference({ inputs: [rows, state, offsets, stateCotangent], outputs }) {
    forEachHeadStepBackward(
      rows!,
      state!,
      offsets!,
      stateCotangent!,
      outputs[0]!,
      outputs[1]!,
      advance,
      ({ vectors, before, gradient, gradients }) => {
        const [r, decay, k, v, a, b, g] = vectors as Vectors;
        const [dr, ddecay, dk, dv, da, db] = gradients as Vectors;
        const n = r.length;
        for (const each of gradients) each.fill(0);
        // Row i of the matrix belongs to value channel i: all it needs is itself and the vectors.
        for (let i = 0; i < n; i++) {
          const [first, value, out] = [i * n, v[i]!, g[i]!];
          let read = 0;
          for (let j = 0; j < n; j++) read += before[first + j]! * a[j]!;
          let ofValue = 0;
          let ofRead = 0;
          for (let j = 0; j < n; j++) {
            const old = before[first + j]!;
            dr[j]! += out * (old * decay[j]! + read * b[j]! + value * k[j]!);
            const entry = gradient[first + j]! + out * r[j]!;
            gradient[first + j] = entry;
            ddecay[j]! += entry * old;
            dk[j]! += entry * value;
            db[j]! += entry * read;
            ofValue += entry * k[j]!;
            ofRead += entry * b[j]!;
          }
          dv[i] = ofValue;
          for (let j = 0; j < n; j++) {
            da[j]! += before[first + j]! * ofRead;
            gradient[first + j] = gradient[first + j]! * decay[j]! + ofRead * a[j]!;
          }
        }
      },
    );
  },
  operations: ([, state], [rows]) => 5 * elementCount(rows!.shape) * state!.shape[3]!,
});

type Vectors = [
  Float64Array,
  Float64Array,
  Float64Array,
  Float64Array,
  Float64Array,
  Float64Array,
  Float64Array,
];

/** S ← S diag(decay) + (S a) bᵀ + v kᵀ. */
function advance(vectors: readonly Float64Array[], matrix: Float64Array): void {
  const [, decay, k, v, a, b] = vectors as Vectors;
  const n = k.length;
  for (let i = 0; i < n; i++) {
    const [first, value] = [i * n, v[i]!];
    let read = 0;
    for (let j = 0; j < n; j++) read += matrix[first + j]! * a[j]!;
    for (let j = 0; j < n; j++) {
      matrix[first + j] = matrix[first + j]! * decay[j]! + read * b[j]! + value * k[j]!;
    }
  }
}
