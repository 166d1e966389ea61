import { expect, test } from 'vitest';
import { stripPrefixes } from './prefixes.ts';

const stripped = (...names: string[]): string[] => [
  ...stripPrefixes(new Map(names.map((name) => [name, 0]))).keys(),
];

test('takes a prefix off when every name carries it', () => {
  expect(stripped('model.a', 'model.b')).toEqual(['a', 'b']);
  expect(stripped('model.a', 'b')).toEqual(['model.a', 'b']);
});

test('takes prefixes off one after another', () => {
  expect(stripped('_forward_module.model.a', '_forward_module.model.b')).toEqual(['a', 'b']);
});

test('leaves names that are nothing but a prefix', () => {
  expect(stripped('model.', 'model.a')).toEqual(['model.', 'model.a']);
  expect(stripped()).toEqual([]);
});
