import { defineOp, type Value } from '@rwkv-js/tensor';
import { diagonalAdvance, diagonalBackward } from './diagonal-backward.ts';
import { forEachHeadStepBackward, headBackwardShapes } from './heads-backward.ts';
import { headSizes } from './heads.ts';

/**
 * The gradients of `wkv5`; the formulas are those of `diagonalBackward`.
 *
 * Arguments are those of `wkv5`, then the cotangents of y [tokens, width] and of the new state. Results:
 * the gradients of r, k, v [tokens, width], zero in padding rows, of decay and bonus [heads, headSize],
 * summed over all tokens, and of the state. Specification: RWKV-5.
 */
export const wkv5Backward = defineOp<
  (
    inputs: readonly Value[],
  ) => readonly [r: Value, k: Value, v: Value, decay: Value, bonus: Value, state: Value]
>({
  name: 'wkv5Backward',
  arguments: ['r', 'k', 'v', 'decay', 'bonus', 'state', 'offsets', 'cotangent', 'stateCotangent'],
  infer([r, k, v, decay, bonus, state, offsets, cotangent, stateCotangent], _, fail) {
    const rows = { r: r!, k: k!, v: v!, cotangent: cotangent! };
    const { row, state: ofState } = headBackwardShapes(
      rows,
      state!,
      offsets!,
      stateCotangent!,
      fail,
    );
    const perHead = { dtype: 'f32', shape: state!.shape.slice(1, 3) } as const;
    for (const spec of [decay!, bonus!]) {
      if (spec.shape.join() !== perHead.shape.join()) {
        fail('decay and bonus must be [heads, headSize]');
      }
    }
    return [row, row, row, perHead, perHead, ofState];
  },
  reference({ inputs, outputs }) {
    const [r, k, v, decays, bonuses, state, offsets, cotangent, stateCotangent] = inputs;
    const { headSize } = headSizes(state!);
    const [decay, bonus] = [decays!, bonuses!].map(({ data }) => Float64Array.from(data));
    const sums = [new Float64Array(decay!.length), new Float64Array(decay!.length)] as const;
    const ofHead = (data: Float64Array, head: number): Float64Array =>
      data.subarray(head * headSize, (head + 1) * headSize);
    forEachHeadStepBackward(
      [r!, k!, v!, cotangent!],
      state!,
      offsets!,
      stateCotangent!,
      outputs.slice(0, 3),
      outputs[5]!,
      (vectors, matrix, head) =>
        diagonalAdvance(matrix, vectors[1]!, vectors[2]!, ofHead(decay!, head)),
      (step) => {
        const { head, gradients } = step;
        diagonalBackward(step, step.vectors[3]!, ofHead(decay!, head), ofHead(bonus!, head), {
          r: gradients[0]!,
          k: gradients[1]!,
          v: gradients[2]!,
          decay: ofHead(sums[0], head),
          bonus: ofHead(sums[1], head),
        });
      },
    );
    outputs[3]!.data.set(sums[0]);
    outputs[4]!.data.set(sums[1]);
  },
  operations: ([r, , , , , state]) => 20 * r!.shape[0]! * r!.shape[1]! * state!.shape[3]!,
});
