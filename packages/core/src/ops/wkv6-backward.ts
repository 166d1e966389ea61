import { defineOp, elementCount, type Value } from '@rwkv-js/tensor';
import { diagonalAdvance, diagonalBackward } from './diagonal-backward.ts';
import { forEachHeadStepBackward, headBackwardShapes } from './heads-backward.ts';
import { headSizes } from './heads.ts';
import { expectFloats } from './shape-rules.ts';

/**
 * The gradients of `wkv6`; the formulas are those of `diagonalBackward`.
 *
 * rows: r, k, v, decay and the cotangent of y [5, tokens, width], stacked so that a kernel has few
 * buffers; bonus, state and offsets: those of `wkv6`; stateCotangent: of the new state. Results: the
 * gradients of r to decay [4, tokens, width], zero in padding rows, of the bonus [heads, headSize], summed
 * over all tokens, and of the state. Specification: RWKV-6, gradients.
 */
export const wkv6Backward = defineOp<
  (
    rows: Value,
    bonus: Value,
    state: Value,
    offsets: Value,
    stateCotangent: Value,
  ) => readonly [rows: Value, bonus: Value, state: Value]
>({
  name: 'wkv6Backward',
  arguments: ['rows', 'bonus', 'state', 'offsets', 'stateCotangent'],
  infer([rows, bonus, state, offsets, stateCotangent], _, fail) {
    const { heads, headSize } = headSizes(state!, fail);
    expectFloats(bonus!, 'bonus', [heads, headSize], '[heads, headSize]', fail);
    const names = ['r', 'k', 'v', 'decay', 'cotangent'];
    const [ofRows, ofState] = headBackwardShapes(
      names,
      rows!,
      state!,
      offsets!,
      stateCotangent!,
      fail,
    );
    return [ofRows, { dtype: 'f32', shape: bonus!.shape }, ofState];
  },
  reference({ inputs: [rows, bonuses, state, offsets, stateCotangent], outputs }) {
    const { headSize } = headSizes(state!);
    const bonus = Float64Array.from(bonuses!.data);
    const bonusSums = new Float64Array(bonus.length);
    const ofHead = (data: Float64Array, head: number): Float64Array =>
      data.subarray(head * headSize, (head + 1) * headSize);
    forEachHeadStepBackward(
      rows!,
      state!,
      offsets!,
      stateCotangent!,
      outputs[0]!,
      outputs[2]!,
      (vectors, matrix) => diagonalAdvance(matrix, vectors[1]!, vectors[2]!, vectors[3]!),
      (step) => {
        const { head, vectors, gradients } = step;
        gradients[3]!.fill(0);
        diagonalBackward(step, vectors[4]!, vectors[3]!, ofHead(bonus, head), {
          r: gradients[0]!,
          k: gradients[1]!,
          v: gradients[2]!,
          decay: gradients[3]!,
          bonus: ofHead(bonusSums, head),
        });
      },
    );
    outputs[1]!.data.set(bonusSums);
  },
  operations: ([, , state], [rows]) => 5 * elementCount(rows!.shape) * state!.shape[3]!,
});
