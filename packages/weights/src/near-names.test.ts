import { expect, test } from 'vitest';
import { nearNames } from './near-names.ts';

test('gives the names nearest in spelling first', () => {
  const names = ['head.weight', 'emb.weight', 'blocks.0.ln1.weight'];
  expect(nearNames('emb.wieght', names, 2)).toEqual(['emb.weight', 'head.weight']);
});

test('takes any length of wanted name and no names at all', () => {
  expect(nearNames('x'.repeat(1e6), ['a'])).toEqual(['a']);
  expect(nearNames('x', [])).toEqual([]);
});
