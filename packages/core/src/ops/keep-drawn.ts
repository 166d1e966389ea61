import { defineOp, elementCount, type Value } from '@rwkv-js/tensor';
import { carryState } from './sequences.ts';
import { expectIndexes, expectIntegers, matrix } from './shape-rules.ts';

/**
 * Keeps the tokens that were just drawn with those drawn before: for each slot the last ones, the newest
 * at the end, so that several steps are read back at once and the next one finds its token
 * (`resolveTokens`).
 *
 * drawn: i32 state [slots, steps]; tokens: i32 [rows]; slots: i32 [rows], the slot of each row, −1 for
 * none; a slot has at most one row (callers check).
 * Result: the state after the step; slots without a row keep theirs.
 */
export const keepDrawn = defineOp<(drawn: Value, tokens: Value, slots: Value) => Value>({
  name: 'keepDrawn',
  arguments: ['drawn', 'tokens', 'slots'],
  infer([drawn, tokens, slots], _, fail) {
    const [slotCount, steps] = matrix(drawn!, 'drawn', fail);
    expectIntegers(drawn!, 'drawn', [slotCount, Math.max(steps, 1)], '[slots, steps]', fail);
    const rows = elementCount(tokens!.shape);
    expectIndexes(tokens!, 'tokens', rows, fail);
    expectIndexes(slots!, 'slots', rows, fail);
    return [{ dtype: 'i32', shape: [slotCount, steps] }];
  },
  reference({ inputs: [drawn, tokens, slots], outputs: [next] }) {
    const steps = drawn!.shape[1]!;
    carryState(drawn!, next!);
    slots!.data.forEach((slot, row) => {
      if (slot < 0) return;
      const kept = next!.data.subarray(slot * steps, (slot + 1) * steps);
      kept.copyWithin(0, 1);
      kept[steps - 1] = tokens!.data[row]!;
    });
  },
  inPlace: [[0, 0]],
  operations: ([drawn]) => elementCount(drawn!.shape),
});
