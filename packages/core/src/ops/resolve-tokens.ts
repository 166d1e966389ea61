import { defineOp, elementCount, type Value } from '@rwkv-js/tensor';
import { sequencesOf } from './sequences.ts';
import { expectIndexes, expectIntegers, matrix } from './shape-rules.ts';

/**
 * Token ids with every −1 replaced by the last token that was drawn for its sequence, so that a device
 * can go on writing before the host has seen what was drawn.
 *
 * tokens: i32 [tokens]; drawn: i32 [slots, steps], the tokens drawn last for each slot, the newest at
 * the end (see `keepDrawn`); offsets: i32 [slots + 1].
 * Result: i32 [tokens]; padding rows, which belong to no sequence, are token 0.
 */
export const resolveTokens = defineOp<(tokens: Value, drawn: Value, offsets: Value) => Value>({
  name: 'resolveTokens',
  arguments: ['tokens', 'drawn', 'offsets'],
  infer([tokens, drawn, offsets], _, fail) {
    const count = elementCount(tokens!.shape);
    expectIndexes(tokens!, 'tokens', count, fail);
    const [slots, steps] = matrix(drawn!, 'drawn', fail);
    expectIntegers(drawn!, 'drawn', [slots, Math.max(steps, 1)], '[slots, steps]', fail);
    expectIndexes(offsets!, 'offsets', slots + 1, fail);
    return [{ dtype: 'i32', shape: [count] }];
  },
  reference({ inputs: [tokens, drawn, offsets], outputs: [resolved] }) {
    const steps = drawn!.shape[1]!;
    resolved!.data.fill(0);
    for (const { slot, start, end } of sequencesOf(offsets!)) {
      const last = drawn!.data[(slot + 1) * steps - 1]!;
      for (let row = start; row < end; row++) {
        const token = tokens!.data[row]!;
        resolved!.data[row] = token === -1 ? last : token;
      }
    }
  },
});
