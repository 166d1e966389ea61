import { expect, test } from 'vitest';
import { vocabularyOf } from './vocabulary-of.ts';

test.each([
  [65536, 'rwkv_vocab_v20230424.txt'],
  [65530, 'rwkv_vocab_v20230424.txt'],
  [50277, '20B_tokenizer.json'],
  [50304, '20B_tokenizer.json'],
  [20096, 'MIDI'],
  [256, 'none at all'],
  [2048, 'the one it was trained with, of at most 2048 tokens'],
])('a model with %i rows has its vocabulary', (rows, name) => {
  expect(vocabularyOf(rows)).toContain(name);
});
