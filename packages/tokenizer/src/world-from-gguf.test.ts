import { describe, expect, test } from 'vitest';
import { describeShared, readShared } from '@rwkv-js/testing';
import { smallTokens, vocabularyText } from '../test/small-vocabulary.ts';
import { parseVocabulary } from './parse-vocabulary.ts';
import { worldFromGgufTokens } from './world-from-gguf.ts';
import type { WorldTokenizer } from './world-tokenizer.ts';

/** Python's `repr` of bytes, without `b` and the quotes. */
function repr(bytes: Uint8Array): string {
  const text = String.fromCharCode(...bytes);
  const quote = text.includes("'") && !text.includes('"') ? '"' : "'";
  return [...text]
    .map((character) => {
      const control = { '\t': '\\t', '\n': '\\n', '\r': '\\r', '\\': '\\\\' }[character];
      if (control) return control;
      if (character === quote) return `\\${quote}`;
      const code = character.charCodeAt(0);
      const visible = code >= 0x20 && code < 0x7f;
      return visible ? character : `\\x${code.toString(16).padStart(2, '0')}`;
    })
    .join('');
}

/** Tokens and types as the converter writes them, for a model with so many rows. */
function gguf(tokenizer: WorldTokenizer, rows: number) {
  const tokens = Array.from({ length: rows }, (_, id) =>
    id === 0
      ? '<s>'
      : id < tokenizer.vocabularySize
        ? repr(tokenizer.tokenBytes(id))
        : `[PAD${id}]`,
  );
  const types = tokens.map((_, id) => (id === 0 ? 3 : id < tokenizer.vocabularySize ? 1 : 5));
  return { tokens, types };
}

function expectSame(found: WorldTokenizer, expected: WorldTokenizer): void {
  expect(found.vocabularySize).toBe(expected.vocabularySize);
  const wrong: number[] = [];
  for (let id = 0; id < expected.vocabularySize; id++) {
    if (Buffer.compare(found.tokenBytes(id), expected.tokenBytes(id)) !== 0) wrong.push(id);
  }
  expect(wrong).toEqual([]);
}

describe('worldFromGgufTokens', () => {
  const small = parseVocabulary(vocabularyText(smallTokens), 'small');

  test('reads every token, with types and without', () => {
    const { tokens, types } = gguf(small, smallTokens.length + 7);
    expectSame(worldFromGgufTokens(tokens, types, 'm.gguf'), small);
    expectSame(worldFromGgufTokens(tokens, Int32Array.from(types), 'm.gguf'), small);
    expectSame(worldFromGgufTokens(tokens, undefined, 'm.gguf'), small);
  });

  test('unescapes as llama.cpp does', () => {
    const token = String.raw`\t\n\r\\\'\"\x00\xe4\q`;
    const tokenizer = worldFromGgufTokens(['<s>', token, 'é'], [3, 1, 1], 'm.gguf');
    expect([...tokenizer.tokenBytes(1)]).toEqual([9, 10, 13, 92, 39, 34, 0, 0xe4, 0x71]);
    expect(tokenizer.decode([2])).toBe('é');
  });

  test.each<[string[], number[] | undefined, string]>([
    [['<s>', 'a'], [3], ': found 1 token types, expected one for each of the 2 tokens'],
    [['<s>', 'a'], [3, 6], ', token 1: found the type 6'],
    [['<s>', '\\'], [3, 1], ', token 1: found a backslash at the end'],
    [['<s>', '\\xg0'], [3, 1], 'two hexadecimal digits after \\x'],
    [['<s>', '\\x0'], [3, 1], 'two hexadecimal digits after \\x'],
    [['<s>', ''], [3, 1], ', token 1: found a token of 0 bytes'],
    [['<s>', 'x'.repeat(1025)], [3, 1], 'found a token of 1025 bytes'],
    [['<s>', 'a', '\\x61'], [3, 1, 1], ', token 2: found the bytes of the token of token 1 again'],
    [['<s>'], [3], 'found no token with text'],
    [[], undefined, 'found no token with text'],
  ])('refuses %j with types %j', (tokens, types, message) => {
    expect(() => worldFromGgufTokens(tokens, types, 'm.gguf')).toThrow(
      expect.objectContaining({ name: 'FormatError', message: expect.stringContaining(message) }),
    );
  });
});

describeShared('the World vocabulary in GGUF', () => {
  test('has the same 65529 tokens, and encodes alike', () => {
    const world = parseVocabulary(readShared('data/tokenizer/rwkv_vocab_v20230424.txt'), 'World');
    const { tokens, types } = gguf(world, 65536);
    const found = worldFromGgufTokens(tokens, types, 'model.gguf');
    expectSame(found, world);
    expect(found.paddedSize).toBe(65536);
    expect([...found.encode('User: hi\n\nAssistant:')]).toEqual([
      24281, 59, 4571, 261, 5585, 41693, 59,
    ]);
  });
});
