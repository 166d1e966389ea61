import { describe, expect, test } from 'vitest';
import { ByteTokenizer } from './byte-tokenizer.ts';
import { parseVocabulary } from './parse-vocabulary.ts';
import type { Tokenizer } from './tokenizer.ts';

/** Tokens 1, 2 and 5; ids 6 and 7 are padding. */
const gaps = parseVocabulary("1 'a' 1\n2 'bc' 2\n5 'd' 1\n", 'gaps.txt');

const usageError = expect.objectContaining({ name: 'UsageError' });

describe('decoding', () => {
  test('gives nothing for id 0, for gaps and for padding', () => {
    expect(gaps.vocabularySize).toBe(6);
    expect(gaps.paddedSize).toBe(8);
    expect(gaps.decode([0, 1, 3, 2, 4, 5, 6, 7])).toBe('abcd');
    for (const id of [0, 3, 4, 6, 7]) expect(gaps.tokenBytes(id)).toEqual(new Uint8Array(0));
    const stream = gaps.stream();
    expect([0, 3, 4, 6, 7].map((id) => stream.push(id)).join('')).toBe('');
  });

  test.each([8, 65536, -1, 0.5, NaN, Infinity, 2 ** 32 + 1])('refuses the id %d', (id) => {
    for (const call of [
      () => gaps.decode([1, id]),
      () => gaps.decodeBytes([1, id]),
      () => gaps.tokenBytes(id),
      () => gaps.stream().push(id),
    ]) {
      expect(call).toThrow(usageError);
      expect(call).toThrow(`gaps.txt: found the token id ${id}, expected an integer from 0 to 7`);
    }
  });

  test('takes plain and typed arrays', () => {
    for (const ids of [[1, 2], Uint32Array.of(1, 2), Int32Array.of(1, 2), Uint16Array.of(1, 2)]) {
      expect(gaps.decode(ids)).toBe('abc');
    }
  });

  test('refuses what is not an array of numbers', () => {
    // What a caller without types can do.
    const untyped = gaps as unknown as Record<'decode' | 'decodeBytes', (ids: unknown) => unknown>;
    for (const ids of [5, null, undefined, new Set([1]), ['1'], [1n], [null], '12', [undefined]]) {
      expect(() => untyped.decode(ids)).toThrow(usageError);
      expect(() => untyped.decodeBytes(ids)).toThrow(usageError);
    }
  });

  test('hands out copies of the tokens', () => {
    for (const tokenizer of [gaps, new ByteTokenizer()] satisfies Tokenizer[]) {
      const before = tokenizer.tokenBytes(1);
      tokenizer.tokenBytes(1).fill(0xff);
      expect(tokenizer.tokenBytes(1)).toEqual(before);
    }
  });
});

test('encoding refuses what is neither a string nor bytes', () => {
  const untyped = gaps as unknown as { encode(text: unknown): unknown };
  for (const text of [5, null, undefined, [97], new ArrayBuffer(1), new Uint16Array(1), {}]) {
    expect(() => untyped.encode(text)).toThrow(usageError);
  }
});
