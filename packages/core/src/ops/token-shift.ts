import { defineOp, elementCount, type Value } from '@rwkv-js/tensor';
import { floats } from './floats.ts';
import { carryState, clearPadding, expectOffsets, sequencesOf } from './sequences.ts';
import { expectState, floatMatrix, matrix } from './shape-rules.ts';
import { tokenShiftBackward } from './token-shift-backward.ts';
import { zerosLike } from './zeros-like.ts';

/**
 * Every token's row replaced by the row of the token before it in its sequence. The first token of a
 * sequence in this step gets the slot's state: the last row of its step before.
 *
 * x: [tokens, width]; state: f32 [slots, width]; offsets: i32 [slots + 1].
 * Results: shifted [tokens, width], zero in padding rows; the state after the step, its old rows kept
 * for slots without tokens. Specification: token shift, packed tokens.
 */
export const tokenShift = defineOp<
  (x: Value, state: Value, offsets: Value) => readonly [shifted: Value, state: Value]
>({
  name: 'tokenShift',
  arguments: ['x', 'state', 'offsets'],
  infer([x, state, offsets], _, fail) {
    const [tokens, width] = floatMatrix(x!, 'x', fail);
    const [slots] = matrix(state!, 'state', fail);
    expectState(state!, 'state', [slots, width], '[slots, width]', fail);
    expectOffsets(offsets!, slots, fail);
    return [
      { dtype: 'f32', shape: [tokens, width] },
      { dtype: 'f32', shape: [slots, width] },
    ];
  },
  reference({ inputs: [x, state, offsets], outputs: [shifted, next] }) {
    const width = x!.shape[1]!;
    const rows = floats(x!);
    carryState(state!, next!);
    for (const { slot, start, end } of sequencesOf(offsets!)) {
      const kept = next!.data.subarray(slot * width, (slot + 1) * width);
      for (let t = start; t < end; t++) {
        shifted!.data.set(kept, t * width);
        kept.set(rows.subarray(t * width, (t + 1) * width));
      }
    }
    clearPadding(shifted!, offsets!);
  },
  gradient({ inputs: [, state, offsets], outputs: [shifted], cotangents }) {
    const [toShifted, toState] = cotangents;
    const [x, ofState] = tokenShiftBackward(
      toShifted ?? zerosLike(shifted!),
      toState ?? zerosLike(state!),
      offsets!,
    );
    return [x, ofState, undefined];
  },
  inPlace: [[1, 1]],
  operations: ([x]) => elementCount(x!.shape),
});
