import { defineOp, elementCount, type Value } from '@rwkv-js/tensor';
import { diagonalAdvance, diagonalBackward } from './diagonal-backward.ts';
import { forEachHeadStepBackward, headBackwardShapes } from './heads-backward.ts';
import { headSizes } from './heads.ts';
import { expectFloats } from './shape-rules.ts';
import { stackedTensors } from './stack.ts';

/**
 * The gradients of `wkv5`; the formulas are those of `diagonalBackward`.
 *
 * rows: r, k, v and the cotangent of y [4, tokens, width]; vectors: decay and bonus [2, heads, headSize];
 * both stacked so that a kernel has few buffers; state and offsets: those of `wkv5`; stateCotangent: of
 * the new state. Results: the gradients of r, k, v [3, tokens, width], zero in padding rows, of decay and
 * bonus [2, heads, headSize], summed over all tokens, and of the state. Specification: RWKV-5.
 */
export const wkv5Backward = defineOp<
  (
    rows: Value,
    vectors: Value,
    state: Value,
    offsets: Value,
    stateCotangent: Value,
  ) => readonly [rows: Value, vectors: Value, state: Value]
>({
  name: 'wkv5Backward',
  arguments: ['rows', 'vectors', 'state', 'offsets', 'stateCotangent'],
  infer([rows, vectors, state, offsets, stateCotangent], _, fail) {
    const { heads, headSize } = headSizes(state!, fail);
    expectFloats(vectors!, 'vectors', [2, heads, headSize], '[2, heads, headSize]', fail);
    const names = ['r', 'k', 'v', 'cotangent'];
    const [ofRows, ofState] = headBackwardShapes(
      names,
      rows!,
      state!,
      offsets!,
      stateCotangent!,
      fail,
    );
    return [ofRows, { dtype: 'f32', shape: vectors!.shape }, ofState];
  },
  reference({ inputs: [rows, perHead, state, offsets, stateCotangent], outputs }) {
    const { headSize, width } = headSizes(state!);
    const [decay, bonus] = stackedTensors(perHead!).map(({ data }) => Float64Array.from(data));
    const sums = new Float64Array(2 * width);
    const [decaySums, bonusSums] = [sums.subarray(0, width), sums.subarray(width)];
    const ofHead = (data: Float64Array, head: number): Float64Array =>
      data.subarray(head * headSize, (head + 1) * headSize);
    forEachHeadStepBackward(
      rows!,
      state!,
      offsets!,
      stateCotangent!,
      outputs[0]!,
      outputs[2]!,
      (vectors, matrix, head) =>
        diagonalAdvance(matrix, vectors[1]!, vectors[2]!, ofHead(decay!, head)),
      (step) => {
        const { head, gradients } = step;
        diagonalBackward(step, step.vectors[3]!, ofHead(decay!, head), ofHead(bonus!, head), {
          r: gradients[0]!,
          k: gradients[1]!,
          v: gradients[2]!,
          decay: ofHead(decaySums, head),
          bonus: ofHead(bonusSums, head),
        });
      },
    );
    outputs[1]!.data.set(sums);
  },
  operations: ([, , state], [rows]) => 7 * elementCount(rows!.shape) * state!.shape[3]!,
});
