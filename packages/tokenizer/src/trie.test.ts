import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { buildTrie } from './build-trie.ts';
import type { Trie } from './trie.ts';

function list(tokens: Uint8Array[]) {
  const offsets = new Int32Array(tokens.length + 1);
  tokens.forEach((token, n) => (offsets[n + 1] = offsets[n] + token.length));
  return {
    bytes: Uint8Array.from(tokens.flatMap((token) => [...token])),
    offsets,
    ids: Int32Array.from(tokens, (_, n) => n + 1),
  };
}

function build(tokens: Uint8Array[]): Trie {
  return buildTrie(list(tokens), (first, second) => {
    throw new Error(`duplicate ${first} ${second}`);
  });
}

function missing(position: number): never {
  throw new Error(`missing at ${position}`);
}

/** Greedy longest match as its definition says, with ids from 1 in the order of the tokens. */
function naive(tokens: Uint8Array[], bytes: Uint8Array): number[] {
  const ids: number[] = [];
  for (let position = 0; position < bytes.length;) {
    let best = -1;
    tokens.forEach((token, n) => {
      const fits = token.every((byte, i) => bytes[position + i] === byte);
      if (fits && (best < 0 || token.length > tokens[best].length)) best = n;
    });
    if (best < 0) return missing(position);
    ids.push(best + 1);
    position += tokens[best].length;
  }
  return ids;
}

const utf8 = new TextEncoder();
const key = (bytes: Uint8Array) => bytes.join(',');

describe('the trie', () => {
  test('gives the longest match, as a search through all tokens does', () => {
    // Few different bytes make long common prefixes, all bytes make wide nodes.
    for (const [most, maxLength] of [
      [2, 6],
      [255, 3],
    ]) {
      const byte = fc.integer({ min: 0, max: most });
      const bytes = fc.array(byte, { minLength: 1, maxLength });
      fc.assert(
        fc.property(
          fc.uniqueArray(
            bytes.map((b) => Uint8Array.from(b)),
            { selector: key, minLength: 1, maxLength: 200, size: 'max' },
          ),
          fc.array(byte, { maxLength: 60 }).map((b) => Uint8Array.from(b)),
          (tokens, text) => {
            const trie = build(tokens);
            const outcome = (run: () => number[]) => {
              try {
                return run();
              } catch (error) {
                return String(error);
              }
            };
            expect(outcome(() => [...trie.encode(text, missing)])).toEqual(
              outcome(() => naive(tokens, text)),
            );
            // Text made of tokens is found whatever the order of the bytes in wide nodes.
            for (const token of tokens) expect([...trie.encode(token, missing)].length).toBe(1);
          },
        ),
        { seed: 1, numRuns: 150 },
      );
    }
  });

  test('falls back to the last token passed when a longer one does not come', () => {
    const trie = build(['a', 'b', 'c', 'abcd'].map((token) => utf8.encode(token)));
    expect([...trie.encode(utf8.encode('abcabcdab'), missing)]).toEqual([1, 2, 3, 4, 1, 2]);
  });

  test('reports where no token matches', () => {
    const trie = build(['ab', 'a'].map((token) => utf8.encode(token)));
    expect(() => trie.encode(utf8.encode('aba!'), missing)).toThrow('missing at 3');
    expect(() => trie.encode(utf8.encode('b'), missing)).toThrow('missing at 0');
  });

  test('reports two tokens of the same bytes, in the order of the list', () => {
    expect(() => build(['x', 'ab', 'a', 'ab'].map((t) => utf8.encode(t)))).toThrow('duplicate 1 3');
    const many = Array.from({ length: 300 }, (_, n) => Uint8Array.of(n & 255, n >> 8));
    expect(() => build([...many, many[7]])).toThrow('duplicate 7 300');
  });

  test('holds no tokens, or one, or one as long as they get', () => {
    expect(() => build([]).encode(utf8.encode('a'), missing)).toThrow('missing at 0');
    const long = new Uint8Array(1024).fill(7);
    expect([...build([long]).encode(long, missing)]).toEqual([1]);
    expect([...build([Uint8Array.of(0)]).encode(new Uint8Array(1000), missing)]).toEqual(
      new Array(1000).fill(1),
    );
  });
});
