import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { smallTokens, vocabularyText } from '../test/small-vocabulary.ts';
import { ByteTokenizer } from './byte-tokenizer.ts';
import { parseVocabulary } from './parse-vocabulary.ts';
import type { Tokenizer } from './tokenizer.ts';

const small = parseVocabulary(vocabularyText(smallTokens), 'small');
const bytewise = new ByteTokenizer();
const utf8 = new TextEncoder();

function streamed(tokenizer: Tokenizer, ids: ArrayLike<number>): string {
  const stream = tokenizer.stream();
  return Array.from(ids, (id) => stream.push(id)).join('') + stream.flush();
}

/** Bytes that are likely to be nearly UTF-8: whole, cut and overlong characters and loose bytes. */
const almostUtf8 = fc
  .array(
    fc.oneof(
      fc.string({ unit: 'binary', minLength: 1, maxLength: 2 }).map((text) => utf8.encode(text)),
      fc.constantFrom('é', '你', '🙂', '\ufeff', 'a').map((text) => utf8.encode(text)),
      fc.constantFrom('é', '你', '🙂', '\ufeff').map((text) => utf8.encode(text).slice(0, -1)),
      fc.constantFrom([0xc0, 0x80], [0xe0, 0x80], [0xed, 0xa0, 0x80], [0xf4, 0x90], [0xf0, 0x80]),
      fc.uint8Array({ minLength: 1, maxLength: 2 }),
    ),
    { maxLength: 12 },
  )
  .map((pieces) => Uint8Array.from(pieces.flatMap((piece) => [...piece])));

describe('streaming', () => {
  test('gives what decoding all at once gives, for any ids', () => {
    const ids = fc.array(fc.integer({ min: 0, max: small.paddedSize - 1 }), { maxLength: 60 });
    fc.assert(
      fc.property(ids, (sequence) => {
        expect(streamed(small, sequence)).toBe(small.decode(sequence));
      }),
      { seed: 5, numRuns: 500 },
    );
  });

  test('gives what decoding all at once gives, for bytes that are almost UTF-8', () => {
    fc.assert(
      fc.property(almostUtf8, (bytes) => {
        expect(streamed(bytewise, bytes)).toBe(bytewise.decode(bytes));
        const ids = small.encode(bytes);
        expect(streamed(small, ids)).toBe(small.decode(ids));
      }),
      { seed: 6, numRuns: 1000 },
    );
  });

  test('gives what decoding all at once gives, for every pair of lead and second byte', () => {
    for (let lead = 0x80; lead < 0x100; lead++) {
      for (let second = 0; second < 0x100; second++) {
        for (const tail of [[], [0x80], [0x80, 0x80], [0x41]]) {
          const bytes = [lead, second, ...tail];
          if (streamed(bytewise, bytes) !== bytewise.decode(bytes)) expect.fail(bytes.join(' '));
        }
      }
    }
  });

  test('holds a character back until its last byte', () => {
    const stream = bytewise.stream();
    expect([...utf8.encode('a🙂é')].map((byte) => stream.push(byte))).toEqual([
      'a',
      '',
      '',
      '',
      '🙂',
      '',
      'é',
    ]);
    expect(stream.flush()).toBe('');
  });

  test('ends a begun character with U+FFFD and starts afresh', () => {
    const stream = bytewise.stream();
    expect(stream.push(0xf0) + stream.push(0x9f)).toBe('');
    expect(stream.flush()).toBe('\ufffd');
    expect(stream.flush()).toBe('');
    expect(stream.push(0x61)).toBe('a');
  });

  test('keeps a byte order mark, at the start and after a flush', () => {
    const stream = bytewise.stream();
    for (let round = 0; round < 2; round++) {
      expect([0xef, 0xbb, 0xbf].map((byte) => stream.push(byte)).join('')).toBe('\ufeff');
      expect(stream.flush()).toBe('');
    }
  });

  test('joins a character around an end of text', () => {
    const [first, second] = utf8.encode('é');
    const ids = [first + 1, 0, second + 1];
    expect(streamed(small, ids)).toBe('é');
    expect(small.decode(ids)).toBe('é');
  });

  test('is as before after an id it cannot decode', () => {
    const stream = bytewise.stream();
    stream.push(0xc3);
    expect(() => stream.push(256)).toThrow('token id 256');
    expect(stream.push(0xa9)).toBe('é');
  });

  test('runs apart from other streams', () => {
    const one = bytewise.stream();
    const other = bytewise.stream();
    one.push(0xc3);
    expect(other.push(0x61)).toBe('a');
    expect(one.push(0xa9)).toBe('é');
  });
});
