import { describe, expect, test } from 'vitest';
import { describeShared, readShared } from '@rwkv-js/testing';
import { byteCharacters, neoxLike } from '../test/neox-like.ts';
import { smallTokens, vocabularyText } from '../test/small-vocabulary.ts';
import { packVocabulary } from './packed-vocabulary.ts';
import { parseTokenizer } from './parse-tokenizer.ts';
import { parseVocabulary } from './parse-vocabulary.ts';
import type { Tokenizer } from './tokenizer.ts';

const utf8 = new TextEncoder();
const small = parseVocabulary(vocabularyText(smallTokens), 'small');

/** As web-rwkv writes it: a string where the bytes are UTF-8, else the bytes. */
function idsAndTokens(): Record<string, unknown> {
  const asText = (bytes: Uint8Array) => {
    const text = new TextDecoder('utf-8', { ignoreBOM: true }).decode(bytes);
    return Buffer.compare(utf8.encode(text), bytes) === 0 ? text : [...bytes];
  };
  const entries = smallTokens.map((bytes, id) => [id, id === 0 ? '<|endoftext|>' : asText(bytes)]);
  return Object.fromEntries(entries) as Record<string, unknown>;
}

/** As the fork of Hugging Face tokenizers for RWKV writes it. */
function trieJson() {
  const vocab = smallTokens.map((bytes, id) => [id ? byteCharacters(bytes) : '<|endoftext|>', id]);
  return {
    normalizer: null as unknown,
    pre_tokenizer: null,
    decoder: { type: 'ByteLevel' },
    model: { type: 'RwkvTrie', vocab: Object.fromEntries(vocab) as Record<string, unknown> },
  };
}

function expectSame(found: Tokenizer): void {
  expect(found.vocabularySize).toBe(small.vocabularySize);
  smallTokens.forEach((bytes, id) => expect(found.tokenBytes(id)).toEqual(bytes));
  expect(found.encode('thereabouts 你好🙂')).toEqual(small.encode('thereabouts 你好🙂'));
}

function messageOf(source: string | Uint8Array): string {
  try {
    parseTokenizer(source, 'v.json');
  } catch (error) {
    if (error instanceof Error && error.name === 'FormatError') return error.message;
    throw error;
  }
  return 'accepted';
}

const words = {
  added_tokens: ['<pad>', '<start>', '<end>'].map((content, id) => ({
    id,
    content,
    special: true,
  })),
  normalizer: { type: 'Lowercase' },
  pre_tokenizer: { type: 'WhitespaceSplit' },
  model: {
    type: 'WordLevel',
    vocab: { '<pad>': 0, '<start>': 1, '<end>': 2, t1: 3, 'pi:3c:7': 4, '<unk>': 5 },
    unk_token: undefined as string | undefined,
  },
};

describe('parseTokenizer', () => {
  test('knows every format of the same vocabulary by what is in it', () => {
    for (const source of [
      vocabularyText(smallTokens),
      packVocabulary(small),
      JSON.stringify(idsAndTokens()),
      `\ufeff \n${JSON.stringify(idsAndTokens(), null, 1)}`,
      JSON.stringify(trieJson()),
    ]) {
      const tokenizer = parseTokenizer(source, 'v');
      expectSame(tokenizer);
      expect(tokenizer.name).toBe('v');
      expect(tokenizer.decode([0])).toBe('');
    }
  });

  test('reads the characters of old training code, in UTF-16 and with id 0', () => {
    const json = JSON.stringify({ 0: '\n', 1: 'a', 2: '好', 3: '🙂' });
    const little = Buffer.from(`\ufeff${json}`, 'utf16le');
    const big = Buffer.from(little).swap16();
    for (const source of [json, little, big]) {
      const tokenizer = parseTokenizer(source, 'vocab.json');
      expect([...tokenizer.encode('a\n好🙂')]).toEqual([1, 0, 2, 3]);
      expect(tokenizer.decode([0, 1])).toBe('\na');
      expect(tokenizer.paddedSize).toBe(4);
      expect(() => tokenizer.encode('b')).toThrow('found the byte 0x62');
    }
  });

  test('reads words: in lower case, special tokens only where they are asked for', () => {
    const tokenizer = parseTokenizer(JSON.stringify(words), 'midi.json');
    expect([...tokenizer.encode(' T1\n pi:3C:7 ')]).toEqual([3, 4]);
    expect(tokenizer.decode([1, 3, 4, 2])).toBe(' t1 pi:3c:7');
    expect([...tokenizer.encode('<start> t1 <end>', { specialTokens: true })]).toEqual([1, 3, 2]);
    expect(() => tokenizer.encode('<start> t1')).toThrow('"<start>", a special token');
    expect(() => tokenizer.encode('t1 t2')).toThrow('found the word "t2"');
    expect(() => tokenizer.encode('t1 <START>')).toThrow('found the word "<START>"');
    const known = { ...words, model: { ...words.model, unk_token: '<unk>' } };
    const forgiving = parseTokenizer(JSON.stringify(known), 'midi.json');
    expect([...forgiving.encode('t1 t2 <start>')]).toEqual([3, 5, 5]);
  });

  test('accepts pairs as arrays and a tokenizer.json without normalizer', () => {
    const json = neoxLike();
    const text = 'the  e\u0301 in';
    const ids = parseTokenizer(JSON.stringify(json), 'v').encode(text.normalize('NFC'));
    json.model.merges = json.model.merges.map((pair) => String(pair).split(' '));
    json.normalizer = null;
    const tokenizer = parseTokenizer(JSON.stringify(json), 'v');
    expect(tokenizer.encode(text.normalize('NFC'))).toEqual(ids);
    expect(tokenizer.decode(tokenizer.encode(text))).toBe(text);
  });

  test.each<[string, (json: ReturnType<typeof neoxLike>) => void]>([
    ['at model.type: found "Unigram", expected "BPE"', (json) => (json.model.type = 'Unigram')],
    ['at model.dropout: found 0.1, expected null', (json) => (json.model.dropout = 0.1)],
    [
      'at normalizer.type: found "NFKC", expected "NFC"',
      (json) => (json.normalizer = { type: 'NFKC' }),
    ],
    [
      'at pre_tokenizer.add_prefix_space: found true',
      (json) => (json.pre_tokenizer.add_prefix_space = true),
    ],
    ['at pre_tokenizer.type: found "Metaspace"', (json) => (json.pre_tokenizer.type = 'Metaspace')],
    ['at decoder: found nothing, expected the type "ByteLevel"', (json) => (json.decoder = null)],
    ['at added_tokens[2].lstrip: found true', (json) => (json.added_tokens[2].lstrip = true)],
    [
      'at added_tokens[1]: found the id 0 of added_tokens[0] again',
      (json) => (json.added_tokens[1].id = 0),
    ],
    ['at added_tokens[1].content: found ""', (json) => (json.added_tokens[1].content = '')],
    ['found another token for "<|padding|>" or its id 9', (json) => (json.added_tokens[1].id = 9)],
    [
      'at model.vocab.the: found "3", expected a whole number',
      (json) => (json.model.vocab['the'] = '3'),
    ],
    ['at model.vocab.the: found -1', (json) => (json.model.vocab['the'] = -1)],
    ['at model.vocab.the: found 1e+300', (json) => (json.model.vocab['the'] = 1e300)],
    ['at model.vocab.the: found the id 2 of "Ā" again', (json) => (json.model.vocab['the'] = 2)],
    ['found no token with the id 271', (json) => (json.model.vocab['new'] = 275)],
    [
      'at model.vocab["你"]: found a character that stands for no byte',
      (json) => (json.model.vocab['你'] = 274),
    ],
    ['at model.vocab: found no tokens', (json) => (json.model.vocab = {})],
    ['at model.vocab: found an array of 0', (json) => (json.model.vocab = [] as never)],
    ['at model.merges[1]: found "t", expected two tokens', (json) => (json.model.merges[1] = 't')],
    ['at model.merges[1]: found 7, expected two tokens', (json) => (json.model.merges[1] = 7)],
    [
      'at model.merges[1]: found "xx", expected a token of model.vocab',
      (json) => (json.model.merges[1] = 'xx t'),
    ],
    ['at model.merges[1]: found "xy" as the result', (json) => (json.model.merges[1] = 'x y')],
    ['at model.merges[2]: found "t h" again', (json) => (json.model.merges[2] = 't h')],
    ['at model.merges: found nothing', (json) => (json.model.merges = undefined as never)],
  ])('says %j', (message, change) => {
    const json = neoxLike();
    change(json);
    const found = messageOf(JSON.stringify(json));
    expect(found).toContain('Reading the vocabulary v.json');
    expect(found).toContain(message);
    expect(found.length).toBeLessThan(300);
  });

  test.each([
    ['{"model": ', 'line 1, column 11: found the end of the file, expected a JSON value'],
    ['{\n "1": "a",\n}', 'line 3, column 1: found "}", expected a string in double quotes'],
    ['[1]', 'found an array of 1, expected an object of ids and tokens'],
    ['{}', 'found no tokens'],
    ['{"a": "b"}', 'at a: found the id "a", expected a whole number as the key'],
    ['{"01": "b"}', 'found the id "01"'],
    ['{"1048576": "b"}', 'found the id "1048576"'],
    ['{"1": ""}', 'at ["1"]: found a token of 0 bytes'],
    ['{"1": 5}', 'at ["1"]: found 5, expected a string or a list of bytes'],
    ['{"1": [256]}', 'at ["1"][0]: found 256, expected a whole number from 0 to 255'],
    ['{"1": "a", "2": [97]}', 'at ["2"]: found the bytes of the token of ["1"] again'],
    ['{"__proto__": "a"}', 'found the id "__proto__"'],
    [
      '{"model": {"type": "RwkvTrie", "vocab": {"a": 1, "你": 2}}}',
      'expected 1 to 1024 of the characters',
    ],
    [
      '{"model": {"type": "RwkvTrie", "vocab": {"a": 1}}, "normalizer": {"type": "NFC"}}',
      'at normalizer',
    ],
    ['{"model": {"type": "WordLevel", "vocab": {"a": 0}}}', 'at pre_tokenizer: found nothing'],
    ['', 'found an empty file'],
    ['<html>', 'found a web page'],
    ['1 a', 'line 1: found "1 a", expected an id, a Python literal and a length'],
  ])('refuses %j', (text, message) => {
    expect(messageOf(text)).toContain(message);
  });

  test('refuses what is neither text nor bytes', () => {
    expect(() => parseTokenizer(5 as never, 'v')).toThrow('found number, expected a string');
  });
});

describeShared('parseTokenizer of the shared files', () => {
  test('reads the World vocabulary, and refuses every broken file', () => {
    const world = parseTokenizer(readShared('data/tokenizer/rwkv_vocab_v20230424.txt'), 'World');
    expect(world.vocabularySize).toBe(65530);
    expect(messageOf(readShared('golden/broken/tokenizer-cut.json'))).toMatch(
      /line 1, column \d+: found the end of the file/,
    );
    for (const name of ['vocab-code.txt', 'noise.bin', 'empty.pth', 'lfs-pointer.pth']) {
      expect(messageOf(readShared(`golden/broken/${name}`))).toContain('Reading the vocabulary');
    }
  });

  test('decodes the World cases as a stream, split anywhere', () => {
    const world = parseTokenizer(readShared('data/tokenizer/rwkv_vocab_v20230424.txt'), 'World');
    const lines = new TextDecoder().decode(readShared('data/tokenizer/world-cases.jsonl')).trim();
    for (const line of lines.split('\n')) {
      const { tokens } = JSON.parse(line) as { readonly tokens: number[] };
      const stream = world.stream();
      expect(tokens.map((id) => stream.push(id)).join('') + stream.flush()).toBe(
        world.decode(tokens),
      );
    }
  });
});
