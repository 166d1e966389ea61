import { sameShape, type HostTensor, type TensorSpec } from '@rwkv-js/tensor';
import { headShapes, headSizes } from './heads.ts';
import { clearPadding, sequencesOf } from './sequences.ts';
import type { Fail } from './shape-rules.ts';

/**
 * Shape rule of the gradients of recurrences over heads: one [tokens, width] for each of `rows` but the
 * last, which is the cotangent of y, then that of the state.
 */
export function headBackwardShapes(
  rows: Readonly<Record<string, TensorSpec>>,
  state: TensorSpec,
  offsets: TensorSpec,
  stateCotangent: TensorSpec,
  fail: Fail,
): { readonly row: TensorSpec; readonly state: TensorSpec } {
  const [row, ofState] = headShapes(rows, state, offsets, fail);
  if (!sameShape(state.shape, stateCotangent.shape)) {
    fail('stateCotangent must have the shape of state');
  }
  return { row: row!, state: ofState! };
}

/** One token of one head, on the way back. */
export interface HeadBackwardStep {
  readonly head: number;
  /** The part of each of `rows` that belongs to this token and head, in their order. */
  readonly vectors: readonly Float64Array[];
  /** The head's matrix before the token: [headSize, headSize]. */
  readonly before: Float64Array;
  /** The gradient of the matrix after the token, to be turned into that of the matrix before it. */
  readonly gradient: Float64Array;
  /** The gradients of the token's vectors, to be written. */
  readonly gradients: readonly Float64Array[];
}

/** Tokens whose matrices are kept at a time; the others are computed again from the chunk's first. */
const chunk = 16;

/**
 * Walks a step head by head and its tokens from the last to the first. The matrices before each token
 * are computed again by `advance`, chunk by chunk, in double precision.
 *
 * @param stateCotangent what flows back from the new state
 * @param rowGradients where the gradients of `rows` go, zero in padding rows; may be fewer than rows
 * @param stateGradient where that of the old state goes
 * @param advance turns the matrix before a token into the one after it
 */
export function forEachHeadStepBackward(
  rows: readonly HostTensor[],
  state: HostTensor,
  offsets: HostTensor,
  stateCotangent: HostTensor,
  rowGradients: readonly HostTensor[],
  stateGradient: HostTensor,
  advance: (vectors: readonly Float64Array[], matrix: Float64Array, head: number) => void,
  visit: (step: HeadBackwardStep) => void,
): void {
  const { heads, headSize, width } = headSizes(state);
  const size = headSize * headSize;
  const vectors = rows.map(() => new Float64Array(headSize));
  const gradients = rowGradients.map(() => new Float64Array(headSize));
  const matrices = new Float64Array(chunk * size);
  const gradient = new Float64Array(size);
  const load = (t: number, head: number): number => {
    const channel = t * width + head * headSize;
    rows.forEach(({ data }, i) => vectors[i]!.set(data.subarray(channel, channel + headSize)));
    return channel;
  };
  for (const { slot, start, end } of sequencesOf(offsets)) {
    for (let head = 0; head < heads; head++) {
      const first = (slot * heads + head) * size;
      gradient.set(stateCotangent.data.subarray(first, first + size));

      const starts: Float64Array[] = [];
      const matrix = Float64Array.from(state.data.subarray(first, first + size));
      for (let t = start; t < end; t++) {
        if ((t - start) % chunk === 0) starts.push(matrix.slice());
        load(t, head);
        advance(vectors, matrix, head);
      }

      for (let part = starts.length - 1; part >= 0; part--) {
        const from = start + part * chunk;
        const to = Math.min(end, from + chunk);
        const before = (t: number): Float64Array =>
          matrices.subarray((t - from) * size, (t - from + 1) * size);
        before(from).set(starts[part]!);
        for (let t = from; t + 1 < to; t++) {
          before(t + 1).set(before(t));
          load(t, head);
          advance(vectors, before(t + 1), head);
        }
        for (let t = to - 1; t >= from; t--) {
          const channel = load(t, head);
          visit({ head, vectors, before: before(t), gradient, gradients });
          rowGradients.forEach(({ data }, i) => data.set(gradients[i]!, channel));
        }
      }
      stateGradient.data.set(gradient, first);
    }
  }
  for (const output of rowGradients) clearPadding(output, offsets);
}
