import { UsageError } from '@rwkv-js/tensor';
import { expect, test } from 'vitest';
import { packSequences } from './pack.ts';

const shape = { tokens: 6, slots: 3 };
const vocabulary = { vocabularySize: 10 };

test('sequences lie one after another, and padding has no target and no logits', () => {
  const sequences = [
    { tokens: [1, 2, 3], targets: [2, 3, -1] },
    { tokens: [9], targets: [0] },
  ];
  expect(packSequences(sequences, shape, vocabulary)).toEqual({
    tokens: Int32Array.of(1, 2, 3, 9, 0, 0),
    targets: Int32Array.of(2, 3, -1, 0, -1, -1),
    offsets: Int32Array.of(0, 3, 4, 4),
    logitRows: Int32Array.of(0, 1, 2, 3, -1, -1),
  });
});

test.each([
  [[{ tokens: [1, 2], targets: [1] }], 'sequence 0 of a batch has 2 tokens and 1 targets'],
  [[{ tokens: [10], targets: [1] }], 'the tokens of sequence 0 of a batch hold 10; whole numbers'],
  [[{ tokens: [1], targets: [-2] }], 'the targets of sequence 0 of a batch hold -2; whole numbers'],
  [[{ tokens: [0.5], targets: [1] }], 'the tokens of sequence 0 of a batch hold 0.5'],
  [[{ tokens: [1, 1, 1, 1, 1, 1, 1], targets: [] }], 'a batch of 1 sequences with 7 tokens was'],
])('what does not fit is refused: %j', (sequences, message) => {
  expect(() => packSequences(sequences, shape, vocabulary)).toThrow(UsageError);
  expect(() => packSequences(sequences, shape, vocabulary)).toThrow(message);
});

test('more sequences than the batch holds are refused', () => {
  const one = { tokens: [1], targets: [1] };
  expect(() => packSequences([one, one, one, one], shape, vocabulary)).toThrow(
    'a batch of 4 sequences with 4 tokens was given; it holds 3 sequences with 6 tokens',
  );
});
