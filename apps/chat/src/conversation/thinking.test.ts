import { expect, test } from 'vitest';
import { splitThoughts } from './thinking.ts';

test.each([
  [' Hello.', undefined, false, 'Hello.'],
  [' <think', '', true, ''],
  [' <think>\nIs it', 'Is it', true, ''],
  [' <think>Is it?\n\nYes.</think', 'Is it?\n\nYes.', false, ''],
  [' <think>Is it?</think>\n\nYes.', 'Is it?', false, 'Yes.'],
  [' <think>\n</think>\nYes.', undefined, false, 'Yes.'],
  ['A <think> in the midst', undefined, false, 'A <think> in the midst'],
])('parts %j', (text, thoughts, thinking, answer) => {
  expect(splitThoughts(text)).toEqual({ thoughts, thinking, answer });
});
