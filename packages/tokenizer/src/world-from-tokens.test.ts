import { describe, expect, test } from 'vitest';
import { FormatError } from './errors.ts';
import { worldFromTokens } from './world-from-tokens.ts';

const bytes = (text: string): Uint8Array => new TextEncoder().encode(text);

describe('worldFromTokens', () => {
  test('takes the longest token, whatever ids have no text', () => {
    const tokenizer = worldFromTokens(
      [undefined, bytes('a'), bytes('b'), undefined, bytes('ab'), undefined],
      'model.gguf',
    );
    expect([...tokenizer.encode('abba')]).toEqual([4, 2, 1]);
    expect(tokenizer.decode([4, 0, 3, 2])).toBe('abb');
    expect(tokenizer.vocabularySize).toBe(5);
  });

  test.each([
    [[undefined], 'found no token with text'],
    [[undefined, new Uint8Array(0)], 'token 1: found a token of 0 bytes'],
    [[undefined, bytes('a'), bytes('a')], 'token 2: found the bytes of the token of token 1 again'],
    [Array.from({ length: 2 ** 24 + 2 }, () => undefined), 'tokens, expected at most'],
  ])('refuses what is no vocabulary', (tokens, message) => {
    expect(() => worldFromTokens(tokens, 'model.gguf')).toThrow(FormatError);
    expect(() => worldFromTokens(tokens, 'model.gguf')).toThrow(message);
  });
});
