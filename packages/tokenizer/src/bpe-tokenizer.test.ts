import { gunzipSync } from 'node:zlib';
import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { describeShared, readShared } from '@rwkv-js/testing';
import { neoxLike } from '../test/neox-like.ts';
import { parseTokenizer } from './parse-tokenizer.ts';
import type { Tokenizer } from './tokenizer.ts';

const small = parseTokenizer(JSON.stringify(neoxLike()), 'small');
const pieces = (text: string, tokenizer = small) =>
  [...tokenizer.encode(text)].map((id) => tokenizer.decode([id]));

const anyText = fc.oneof(
  fc.string({ unit: 'binary', maxLength: 80 }),
  fc.string({ unit: fc.constantFrom(..."the  \n\t'sé12,🙂\u0301\u0085\ufeff你aa"), maxLength: 80 }),
);

describe('a byte pair encoding', () => {
  test('merges by rank, within words', () => {
    expect(pieces('the the')).toEqual(['the', ' the']);
    // The pair of the lowest rank goes first: t h before h e; and of equal pairs the leftmost.
    expect(pieces('thhe')).toEqual(['th', 'he']);
    expect(pieces('aaaaaaa')).toEqual(['aaaa', 'aa', 'a']);
    expect(pieces('aaa')).toEqual(['aa', 'a']);
  });

  test('finds runs of spaces, the longest, before words', () => {
    expect(pieces('the       the')).toEqual(['the', '    ', '  ', ' the']);
  });

  test('normalizes to NFC', () => {
    expect(small.encode('e\u0301')).toEqual(small.encode('é'));
    expect(small.decode(small.encode('e\u0301'))).toBe('é');
  });

  test('takes special tokens as text unless they are asked for', () => {
    const text = 'the<|endoftext|>the';
    expect(small.decode(small.encode(text))).toBe(text);
    expect([...small.encode(text)]).not.toContain(0);
    const the = small.encode('the')[0];
    expect([...small.encode(text, { specialTokens: true })]).toEqual([the, 0, the]);
    expect(small.decode([the, 0, 1, the])).toBe('thethe');
    expect(small.tokenBytes(0)).toEqual(new Uint8Array(0));
  });

  test('gives back all text in NFC, lone surrogates as U+FFFD', () => {
    fc.assert(
      fc.property(anyText, (text) => {
        const expected = text.replace(/\p{Surrogate}/gu, '\ufffd').normalize('NFC');
        expect(small.decode(small.encode(text))).toBe(expected);
        expect(small.encode(text)).toEqual(small.encode(new TextEncoder().encode(text)));
      }),
      { seed: 1 },
    );
    expect(small.decode(small.encode('a\ud800b'))).toBe('a\ufffdb');
    expect(small.decode(small.encode('\ufeffa'))).toBe('\ufeffa');
  });

  test('gives back all bytes, those that are not UTF-8 one by one', () => {
    const piece = fc.oneof(
      fc.uint8Array({ maxLength: 12 }),
      fc.constantFrom('the', '你好', '🙂').map((text) => new TextEncoder().encode(text)),
    );
    fc.assert(
      fc.property(fc.array(piece, { maxLength: 8 }), (list) => {
        const bytes = Uint8Array.from(list.flatMap((part) => [...part]));
        const isNormal = (text: string) => text === text.normalize('NFC');
        fc.pre(isNormal(new TextDecoder().decode(bytes)));
        expect(small.decodeBytes(small.encode(bytes))).toEqual(bytes);
      }),
      { seed: 2 },
    );
    for (const bytes of [
      [0xc0, 0x80],
      [0xe0, 0x80, 0x80],
      [0xed, 0xa0, 0x80],
      [0xf4, 0x90, 0x80, 0x80],
      [0xf5, 0x80],
      [0xe4, 0xbd],
      [0x61, 0xff, 0x61],
    ]) {
      expect([...small.decodeBytes(small.encode(Uint8Array.from(bytes)))]).toEqual(bytes);
      expect(small.encode(Uint8Array.from(bytes)).length).toBe(bytes.length);
    }
  });

  test('gives the same tokens for words it has seen, and has forgotten', () => {
    const word = (n: number) => `w${n.toString(36)}the `;
    const text = Array.from({ length: 35_000 }, (_, n) => word(n)).join('');
    const first = small.encode(text);
    expect(small.encode(text)).toEqual(first);
    const fresh = parseTokenizer(JSON.stringify(neoxLike()), 'fresh');
    expect(fresh.encode(word(34_999))).toEqual(small.encode(word(34_999)));
  });

  test('encodes words of a million characters', () => {
    expect(small.encode('a'.repeat(1_000_000)).length).toBe(250_000);
    expect(small.encode('x'.repeat(1_000_000)).length).toBe(1_000_000);
  });

  test('names the byte that no token has', () => {
    const json = neoxLike();
    const gap = Number(json.model.vocab['z']);
    delete json.model.vocab['z'];
    for (const [piece, id] of Object.entries(json.model.vocab)) {
      if (Number(id) > gap) json.model.vocab[piece] = Number(id) - 1;
    }
    json.added_tokens.forEach((token) => {
      if (token.id > gap) token.id--;
    });
    const tokenizer = parseTokenizer(JSON.stringify(json), 'v');
    expect(() => tokenizer.encode('az')).toThrow('found the byte 0x7a, which no token has');
    expect(() => tokenizer.encode('az')).toThrow(expect.objectContaining({ name: 'UsageError' }));
    expect(() => tokenizer.encode(5 as never)).toThrow('found number, expected a string');
  });
});

describeShared('the tokenizer of GPT-NeoX 20B', () => {
  let parsed: Tokenizer | undefined;
  const neox = () =>
    (parsed ??= parseTokenizer(
      gunzipSync(readShared('data/tokenizer/neox/20B_tokenizer.json.gz')),
      '20B',
    ));
  const cases = () =>
    new TextDecoder()
      .decode(readShared('data/tokenizer/neox/neox-cases.jsonl'))
      .trim()
      .split('\n')
      .map((line) => JSON.parse(line) as { readonly text: string; readonly tokens: number[] });

  test('has 50277 tokens', () => {
    expect(neox().vocabularySize).toBe(50277);
    expect(neox().paddedSize).toBe(50432);
    expect([...neox().encode('\n\n')]).toEqual([535]);
    expect([...neox().encode(' '.repeat(25))]).toEqual([50254, 209]);
  });

  test('gives the tokens of the reference in every case, and the text again', () => {
    expect(cases().length).toBe(377);
    for (const { text, tokens } of cases()) {
      expect([...neox().encode(text, { specialTokens: true })]).toEqual(tokens);
      const expected = text.normalize('NFC').replace(/<\|(?:endoftext|padding)\|>/g, '');
      expect(neox().decode(tokens)).toBe(expected);
      expect(neox().decode(neox().encode(text))).toBe(text.normalize('NFC'));
    }
  });

  test('decodes a stream of tokens to the same text', () => {
    for (const { tokens } of cases()) {
      const stream = neox().stream();
      const text = tokens.map((id) => stream.push(id)).join('') + stream.flush();
      expect(text).toBe(neox().decode(tokens));
    }
  });

  test('gives back the text of every token, most as that token', () => {
    let others = 0;
    for (let id = 2; id < 50277; id++) {
      const bytes = neox().tokenBytes(id);
      const ids = neox().encode(bytes);
      if (ids.length === 1 && ids[0] === id) continue;
      others++;
      const text = new TextDecoder().decode(bytes);
      const found = neox().decodeBytes(ids);
      if (text === text.normalize('NFC')) expect(found).toEqual(bytes);
      else expect(new TextDecoder().decode(found)).toBe(text.normalize('NFC'));
    }
    // Halves of characters, text that is not NFC, and what the pattern makes several words of.
    expect(others).toBe(590);
  });
});
