import { sameShape, type HostTensor, type TensorSpec } from '@rwkv-js/tensor';
import { headShapes, headSizes } from './heads.ts';
import { clearPadding, sequencesOf } from './sequences.ts';
import type { Fail } from './shape-rules.ts';
import { stackedSpecs, stackedTensors } from './stack.ts';

/**
 * Shape rule of the gradients of recurrences over heads. `rows` holds `names`, one after another, the
 * last of them the cotangent of y; the results are the gradients of the others and of the state.
 */
export function headBackwardShapes(
  names: readonly string[],
  rows: TensorSpec,
  state: TensorSpec,
  offsets: TensorSpec,
  stateCotangent: TensorSpec,
  fail: Fail,
): readonly [rows: TensorSpec, state: TensorSpec] {
  const parts = stackedSpecs(rows);
  if (parts.length !== names.length) {
    fail(`rows must be [${names.length}, tokens, width]: ${names.join(', ')}`);
  }
  const named = Object.fromEntries(names.map((name, i) => [name, parts[i]!]));
  const [row, ofState] = headShapes(named, state, offsets, fail);
  if (!sameShape(state.shape, stateCotangent.shape)) {
    fail('stateCotangent must have the shape of state');
  }
  return [{ dtype: 'f32', shape: [names.length - 1, ...row!.shape] }, ofState!];
}

/** One token of one head, on the way back. */
export interface HeadBackwardStep {
  readonly head: number;
  /** The part of each of the rows that belongs to this token and head, in their order. */
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
 * @param stackedRows vectors of the tokens, [count, tokens, width], the cotangent of y the last
 * @param stackedGradients where the gradients of all but the last go, zero in padding rows
 * @param stateGradient where that of the old state goes
 * @param advance turns the matrix before a token into the one after it
 */
export function forEachHeadStepBackward(
  stackedRows: HostTensor,
  state: HostTensor,
  offsets: HostTensor,
  stateCotangent: HostTensor,
  stackedGradients: HostTensor,
  stateGradient: HostTensor,
  advance: (vectors: readonly Float64Array[], matrix: Float64Array, head: number) => void,
  visit: (step: HeadBackwardStep) => void,
): void {
  const { heads, headSize, width } = headSizes(state);
  const size = headSize * headSize;
  const [rows, rowGradients] = [stackedTensors(stackedRows), stackedTensors(stackedGradients)];
  const vectors = rows.map(() => new Float64Array(headSize));
  const gradients = rowGradients.map(() => new Float64Array(headSize));
  const matrices = new Float64Array(chunk * size);
  const gradient = new Float64Array(size);
  const load = (t: number, head: number): number => {
    const channel = t * width + head * headSize;
    for (let i = 0; i < rows.length; i++) {
      const [vector, { data }] = [vectors[i]!, rows[i]!];
      // Heads are small: a view and a copy of it would cost more than its elements.
      for (let j = 0; j < headSize; j++) vector[j] = data[channel + j]!;
    }
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
          for (let i = 0; i < gradients.length; i++) {
            const [of, { data }] = [gradients[i]!, rowGradients[i]!];
            for (let j = 0; j < headSize; j++) data[channel + j] = of[j]!;
          }
        }
      }
      stateGradient.data.set(gradient, first);
    }
  }
  for (const output of rowGradients) clearPadding(output, offsets);
}
