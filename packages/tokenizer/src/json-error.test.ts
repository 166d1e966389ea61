import fc from 'fast-check';
import { expect, test } from 'vitest';
import { jsonErrorAt } from './json-error.ts';

test.each([
  ['', 0, 'a JSON value'],
  ['{"a": 1,}', 8, 'a string in double quotes'],
  ['{"a": x}', 6, 'a JSON value'],
  ['{"a" 1}', 5, ':'],
  ['[1 2]', 3, ', or ]'],
  ['{"a": [1}', 8, ', or ]'],
  ['{"a": "b', 8, 'a closing quote'],
  ['{"a": "\\q"}', 7, 'an escape as \\n or \\u0000'],
  ['{} {}', 3, 'nothing more'],
  ['[[[', 3, 'a JSON value'],
  ["{'a': 1}", 1, 'a string in double quotes'],
])('finds the fault of %j', (text, at, expected) => {
  expect(() => JSON.parse(text)).toThrow();
  expect(jsonErrorAt(text)).toEqual({ at, expected });
});

test('finds the end of every text that is cut, and never hangs', () => {
  fc.assert(
    fc.property(fc.json(), fc.nat(), (json, cut) => {
      const text = `[${json}]`;
      const { at } = jsonErrorAt(text.slice(0, cut % text.length));
      expect(at).toBeLessThanOrEqual(cut % text.length);
      expect(jsonErrorAt(`${text}]`)).toEqual({ at: text.length, expected: 'nothing more' });
    }),
    { seed: 3 },
  );
});

test('reads nesting of any depth', () => {
  expect(jsonErrorAt('['.repeat(1_000_000)).at).toBe(1_000_000);
});
