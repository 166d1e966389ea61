import { defineOp, elementCount, type Value } from '@rwkv-js/tensor';
import { clearPadding, expectOffsets, sequencesOf } from './sequences.ts';
import { expectFloats, matrix } from './shape-rules.ts';

/**
 * The gradients of `tokenShift`. A token's row went to the token after it, and the last one's to the
 * slot's new state; the old state went to the first token, or on to the new state where there is none.
 *
 * shifted: what flows back from the shifted rows [tokens, width]; state: from the new state [slots, width];
 * offsets: i32 [slots + 1]. Results: dx [tokens, width], zero in padding rows; dstate [slots, width].
 * Specification: RWKV-7, backward of the time mix.
 */
export const tokenShiftBackward = defineOp<
  (shifted: Value, state: Value, offsets: Value) => readonly [x: Value, state: Value]
>({
  name: 'tokenShiftBackward',
  arguments: ['shifted', 'state', 'offsets'],
  infer([shifted, state, offsets], _, fail) {
    const [tokens, width] = matrix(shifted!, 'shifted', fail);
    const [slots] = matrix(state!, 'state', fail);
    expectFloats(state!, 'state', [slots, width], '[slots, width]', fail);
    expectOffsets(offsets!, slots, fail);
    return [
      { dtype: 'f32', shape: [tokens, width] },
      { dtype: 'f32', shape: [slots, width] },
    ];
  },
  reference({ inputs: [shifted, state, offsets], outputs: [dx, dstate] }) {
    const width = shifted!.shape[1]!;
    for (const { slot, start, end } of sequencesOf(offsets!)) {
      const fromState = state!.data.subarray(slot * width, (slot + 1) * width);
      if (start === end) {
        dstate!.data.set(fromState, slot * width);
        continue;
      }
      dstate!.data.set(shifted!.data.subarray(start * width, (start + 1) * width), slot * width);
      dx!.data.set(shifted!.data.subarray((start + 1) * width, end * width), start * width);
      dx!.data.set(fromState, (end - 1) * width);
    }
    clearPadding(dx!, offsets!);
  },
  operations: ([shifted]) => elementCount(shifted!.shape),
});
