import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { describeShared, readShared } from '@rwkv-js/testing';
import { smallTokens, vocabularyText } from '../test/small-vocabulary.ts';
import { parseVocabulary } from './parse-vocabulary.ts';
import type { WorldTokenizer } from './world-tokenizer.ts';

const utf8 = new TextEncoder();
const small = parseVocabulary(vocabularyText(smallTokens), 'small');

const anyBytes = fc.uint8Array({ maxLength: 300 });
const anyString = fc.oneof(
  fc.string({ unit: 'binary', maxLength: 100 }),
  // UTF-16 code units as they come, lone surrogates among them.
  fc
    .array(fc.oneof(fc.nat(0xffff), fc.integer({ min: 0xd800, max: 0xdfff })), { maxLength: 100 })
    .map((units) => String.fromCharCode(...units)),
);

/** A string with U+FFFD for every lone surrogate. */
const wellFormed = (text: string) => text.replace(/\p{Surrogate}/gu, '\ufffd');

function expectRoundTrips(tokenizer: WorldTokenizer): void {
  fc.assert(
    fc.property(anyBytes, (bytes) => {
      const ids = tokenizer.encode(bytes);
      expect(tokenizer.decodeBytes(ids)).toEqual(bytes);
      expect(ids).not.toContain(0);
    }),
    { seed: 2 },
  );
  fc.assert(
    fc.property(anyString, (text) => {
      expect(tokenizer.decode(tokenizer.encode(text))).toBe(wellFormed(text));
    }),
    { seed: 3 },
  );
}

describe('a World tokenizer', () => {
  test('gives back all bytes and all strings', () => {
    expectRoundTrips(small);
  });

  test('takes the longest token each time', () => {
    const idOf = (text: string) =>
      smallTokens.findIndex((bytes) => Buffer.compare(bytes, utf8.encode(text)) === 0);
    const words = (text: string) => [...small.encode(text)].map((id) => small.decode([id]));
    expect(words('thereabout the it')).toEqual([
      'there',
      'a',
      'b',
      'o',
      'u',
      't',
      ' the',
      ' ',
      'i',
      't',
    ]);
    expect([...small.encode('你好🙂')]).toEqual([idOf('你好'), idOf('🙂')]);
    expect(words(' '.repeat(21)).map((word) => word.length)).toEqual([8, 8, 2, 2, 1]);
  });

  test('encodes the empty text to no tokens', () => {
    expect(small.encode('')).toEqual(new Uint32Array(0));
    expect(small.encode(new Uint8Array(0))).toEqual(new Uint32Array(0));
    expect(small.decode([])).toBe('');
  });

  test('encodes a lone surrogate as U+FFFD, like TextEncoder', () => {
    for (const text of ['\ud800', 'a\udc00b', '\udc00\ud800']) {
      expect(small.decode(small.encode(text))).toBe(wellFormed(text));
    }
  });

  test('encodes the part of a buffer that a subarray shows, and leaves it as it was', () => {
    const larger = utf8.encode('xxthere你好xx');
    const part = larger.subarray(2, larger.length - 2);
    const before = larger.slice();
    expect(small.encode(part)).toEqual(small.encode('there你好'));
    expect(larger).toEqual(before);
    expect(small.encode(Buffer.from('there'))).toEqual(small.encode('there'));
  });

  test('encodes long runs, of one token and of single bytes', () => {
    expect(small.encode(' '.repeat(1_000_001)).length).toBe(125_001);
    expect(small.encode(new Uint8Array(1_000_000).fill(1)).length).toBe(1_000_000);
  });

  test('keeps a byte order mark', () => {
    expect(small.decode(small.encode('\ufeffa\ufeff'))).toBe('\ufeffa\ufeff');
  });

  test('takes special tokens in a text as text', () => {
    expect(small.encode('<|endoftext|>').length).toBe('<|endoftext|>'.length);
  });

  test('names the byte that no token has', () => {
    const tokenizer = parseVocabulary("1 'a' 1\n2 'bc' 2\n", 'v.txt');
    const attempt = (text: string | Uint8Array) => () => tokenizer.encode(text);
    expect(attempt('abc')()).toEqual(Uint32Array.of(1, 2));
    expect(attempt('aab')).toThrow('found the byte 0x62 at byte 2');
    expect(attempt(Uint8Array.of(0x61, 0x00))).toThrow('the byte 0x00 at byte 1');
    expect(attempt('x')).toThrow(expect.objectContaining({ name: 'UsageError' }));
  });
});

describeShared('the World vocabulary', () => {
  const file = () => readShared('data/tokenizer/rwkv_vocab_v20230424.txt');
  let parsed: WorldTokenizer | undefined;
  const world = () => (parsed ??= parseVocabulary(file(), 'World'));

  test('has ids 1 to 65529 and decodes ids up to 65535', () => {
    expect(world().vocabularySize).toBe(65530);
    expect(world().paddedSize).toBe(65536);
    expect(world().decode([0, 65530, 65535])).toBe('');
    expect(() => world().decode([65536])).toThrow('an integer from 0 to 65535');
  });

  test.each<[string, number[]]>([
    ['\n', [11]],
    ['\n\n', [261]],
    ['\n\n\n', [3328]],
    ['\r\n', [263]],
    [' 0', [283]],
    ['2024', [640, 644]],
    ['é', [2503]],
    ['🙂', [3319, 2417]],
    ['Hello world', [33155, 40213]],
    ['你好，世界', [10464, 11685, 19137, 10267, 14610]],
    ['User: hi\n\nAssistant:', [24281, 59, 4571, 261, 5585, 41693, 59]],
    ['Assistant: <think>\n</think>', [5585, 41693, 59, 295, 35762, 63, 11, 754, 35762, 63]],
    ['\x00', [1]],
    [' '.repeat(200), [65529, 65522]],
  ])('encodes %j', (text, ids) => {
    expect([...world().encode(text)]).toEqual(ids);
    expect(world().decode(ids)).toBe(text);
  });

  test('gives the tokens of the official tokenizer in every case', () => {
    const lines = new TextDecoder().decode(readShared('data/tokenizer/world-cases.jsonl'));
    const cases = lines
      .trim()
      .split('\n')
      .map((line) => JSON.parse(line) as CaseOfFile);
    expect(cases.length).toBe(433);
    for (const { text, bytes_base64: base64, tokens } of cases) {
      const bytes =
        base64 === undefined ? utf8.encode(text) : new Uint8Array(Buffer.from(base64, 'base64'));
      expect([...world().encode(bytes)]).toEqual(tokens);
      expect(world().decodeBytes(tokens)).toEqual(bytes);
      if (text === undefined) continue;
      expect([...world().encode(text)]).toEqual(tokens);
      expect(world().decode(tokens)).toBe(text);
    }
  });

  test('encodes the bytes of every token to that token', () => {
    const wrong: number[] = [];
    for (let id = 1; id < 65530; id++) {
      const ids = world().encode(world().tokenBytes(id));
      if (ids.length !== 1 || ids[0] !== id) wrong.push(id);
    }
    expect(wrong).toEqual([]);
  });

  test('gives back all bytes and all strings', () => {
    expectRoundTrips(world());
  });

  test('is read the same with CRLF line ends and as text', () => {
    const text = new TextDecoder().decode(file());
    const ids = world().encode('A quick test, 你好.\n');
    for (const source of [text, text.replaceAll('\n', '\r\n')]) {
      const tokenizer = parseVocabulary(source, 'World');
      expect(tokenizer.vocabularySize).toBe(65530);
      expect(tokenizer.encode('A quick test, 你好.\n')).toEqual(ids);
    }
  });
});

describeShared('the vocabulary of the stories model', () => {
  test('has 2048 ids with id 0, none padded, and gives back its validation text', () => {
    const tokenizer = parseVocabulary(readShared('models/stories/vocab.txt'), 'stories');
    expect(tokenizer.vocabularySize).toBe(2048);
    expect(tokenizer.paddedSize).toBe(2048);
    const bytes = readShared('models/stories/validation.txt');
    const ids = tokenizer.encode(bytes);
    expect(Buffer.compare(tokenizer.decodeBytes(ids), bytes)).toBe(0);
    expect(ids.length).toBeLessThan(bytes.length / 2);
  });
});

interface CaseOfFile {
  readonly text?: string;
  readonly bytes_base64?: string;
  readonly tokens: number[];
}
