import { defineOp, type Value } from '@rwkv-js/tensor';
import { diagonalAdvance, diagonalBackward } from './diagonal-backward.ts';
import { forEachHeadStepBackward, headBackwardShapes } from './heads-backward.ts';
import { headSizes } from './heads.ts';

/**
 * The gradients of `wkv6`; the formulas are those of `diagonalBackward`.
 *
 * Arguments are those of `wkv6`, then the cotangents of y [tokens, width] and of the new state. Results:
 * the gradients of r, k, v, decay [tokens, width], zero in padding rows, of the bonus [heads, headSize],
 * summed over all tokens, and of the state. Specification: RWKV-6, gradients.
 */
export const wkv6Backward = defineOp<
  (
    inputs: readonly Value[],
  ) => readonly [r: Value, k: Value, v: Value, decay: Value, bonus: Value, state: Value]
>({
  name: 'wkv6Backward',
  arguments: ['r', 'k', 'v', 'decay', 'bonus', 'state', 'offsets', 'cotangent', 'stateCotangent'],
  infer([r, k, v, decay, bonus, state, offsets, cotangent, stateCotangent], _, fail) {
    const rows = { r: r!, k: k!, v: v!, decay: decay!, cotangent: cotangent! };
    const { row, state: ofState } = headBackwardShapes(
      rows,
      state!,
      offsets!,
      stateCotangent!,
      fail,
    );
    const perHead = { dtype: 'f32', shape: state!.shape.slice(1, 3) } as const;
    if (bonus!.shape.join() !== perHead.shape.join()) fail('bonus must be [heads, headSize]');
    return [row, row, row, row, perHead, ofState];
  },
  reference({ inputs, outputs }) {
    const [r, k, v, decay, bonuses, state, offsets, cotangent, stateCotangent] = inputs;
    const { headSize } = headSizes(state!);
    const bonus = Float64Array.from(bonuses!.data);
    const bonusSums = new Float64Array(bonus.length);
    const ofHead = (data: Float64Array, head: number): Float64Array =>
      data.subarray(head * headSize, (head + 1) * headSize);
    forEachHeadStepBackward(
      [r!, k!, v!, decay!, cotangent!],
      state!,
      offsets!,
      stateCotangent!,
      outputs.slice(0, 4),
      outputs[5]!,
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
    outputs[4]!.data.set(bonusSums);
  },
  operations: ([r, , , , , state]) => 20 * r!.shape[0]! * r!.shape[1]! * state!.shape[3]!,
});
