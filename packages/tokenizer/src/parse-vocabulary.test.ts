import { describe, expect, test } from 'vitest';
import { describeShared, readShared } from '@rwkv-js/testing';
import { smallTokens, vocabularyText } from '../test/small-vocabulary.ts';
import { parseVocabulary } from './parse-vocabulary.ts';

const utf8 = new TextEncoder();

function messageOf(source: string | Uint8Array): string {
  try {
    parseVocabulary(source, 'v.txt');
  } catch (error) {
    if (error instanceof Error && error.name === 'FormatError') return error.message;
    throw error;
  }
  return 'accepted';
}

describe('parseVocabulary', () => {
  test('reads every token of a file, as text and as bytes', () => {
    const text = vocabularyText(smallTokens);
    for (const source of [text, utf8.encode(text), Buffer.from(text)]) {
      const tokenizer = parseVocabulary(source, 'small');
      expect(tokenizer.name).toBe('small');
      expect(tokenizer.vocabularySize).toBe(smallTokens.length);
      smallTokens.forEach((bytes, id) => expect(tokenizer.tokenBytes(id)).toEqual(bytes));
    }
  });

  test('accepts CRLF, a byte order mark, a missing last line end, gaps and any order', () => {
    for (const text of [
      "3 'b' 1\n1 'a' 1\n",
      "3 'b' 1\r\n1 'a' 1\r\n",
      "3 'b' 1\n1 'a' 1",
      "\ufeff3 'b' 1\r\n1 'a' 1",
    ]) {
      const tokenizer = parseVocabulary(text, 'v.txt');
      expect([...tokenizer.encode('ab')]).toEqual([1, 3]);
      expect(tokenizer.vocabularySize).toBe(4);
      expect(tokenizer.decode([1, 2, 3])).toBe('ab');
    }
  });

  test('reads a file from the middle of a larger buffer', () => {
    const larger = utf8.encode("999 '1 'a' 1\n2 'b' 1\n");
    const tokenizer = parseVocabulary(larger.subarray(5), 'v.txt');
    expect([...tokenizer.encode('ab')]).toEqual([1, 2]);
  });

  test('keeps spaces within a literal', () => {
    const tokenizer = parseVocabulary("1 ' ' 1\n2 ' a  b ' 6\n", 'v.txt');
    expect([...tokenizer.encode('  a  b  ')]).toEqual([1, 2, 1]);
  });

  test.each([
    ['', 'found an empty file'],
    ['\n', 'line 1: found "", expected an id, a Python literal and a length'],
    ["\n1 'a' 1\n", 'line 1: found ""'],
    [" 'a' 1\n", 'line 1: found the id ""'],
    ["1 'a' 1\n\n2 'b' 1\n", 'line 2: found ""'],
    ["1 'a' 1\n\n", 'line 2: found ""'],
    ["1 'a'\n", 'line 1: found "1 \'a\'"'],
    ["1 'a'\n2 'b' 1\n", 'line 1: found "1 \'a\'"'],
    ["1 ' a'\n", 'line 1: found the length "a\'"'],
    ["1 'a' \n", 'line 1: found the length ""'],
    ["1 'a' 1 \n", 'line 1: found the length ""'],
    ["1 'a' 01\n", 'line 1: found the length "01"'],
    ["1 'a' 1.0\n", 'line 1: found the length "1.0"'],
    ["1 'a' -1\n", 'line 1: found the length "-1"'],
    ["1 '' 0\n", 'line 1: found the length "0", expected a number of bytes from 1 to 1024'],
    ["1 '' 1\n", 'line 1: found a token of 0 bytes, "\'\'", expected 1 bytes'],
    [`1 '${'x'.repeat(1025)}' 1025\n`, 'line 1: found the length "1025"'],
    ["1 'a' 1\n2 'ab' 3\n", 'line 2: found a token of 2 bytes, "\'ab\'", expected 3 bytes'],
    ["1 'é' 1\n", 'line 1: found a token of 2 bytes'],
    ["0 'a' 1\n", 'line 1: found the id "0", expected a whole number from 1 to 1048575'],
    ["-1 'a' 1\n", 'line 1: found the id "-1"'],
    ["1e3 'a' 1\n", 'line 1: found the id "1e3"'],
    ["1048576 'a' 1\n", 'line 1: found the id "1048576"'],
    [`${'9'.repeat(400)} 'a' 1\n`, 'line 1: found the id "99'],
    ["1 'a' 1\n2 'b' 1\n1 'c' 1\n", 'line 3: found the id 1 of line 1 again'],
    ["1 'a' 1\n2 'b' 1\n3 '\\x61' 1\n", 'line 3: found the bytes of the token of line 1 again'],
    ["1 __import__('os').system('x') 1\n", "line 1: found \"__import__('os')"],
    ["1 b'\\xZZ' 1\n", 'line 1: found the escape "\\\\xZZ"'],
    ["1 'a' + 'b' 2\n", 'line 1: found " + \'b\'" after the closing quote'],
    ["1 'a' 1\r2 'b' 1\r", 'line 1: found'],
    ['{"a": 1, "b": 2}', 'line 1: found'],
    ['\n <!DOCTYPE html><html>', 'found a web page or XML'],
    ['version https://git-lfs.github.com/spec/v1\noid sha256:00\n', 'found a Git LFS pointer'],
  ])('refuses %j', (text, message) => {
    const found = messageOf(text);
    expect(found).toContain('Reading the vocabulary v.txt');
    expect(found).toContain(message);
    expect(found).toContain('vocabulary file');
    expect(found.length).toBeLessThan(400);
  });

  test('refuses what is neither text nor bytes', () => {
    const untyped = parseVocabulary as (source: unknown, label: string) => unknown;
    for (const source of [undefined, null, 5, [], new ArrayBuffer(8)]) {
      expect(() => untyped(source, 'v.txt')).toThrow(
        expect.objectContaining({ name: 'UsageError' }),
      );
    }
    expect(() => untyped(new ArrayBuffer(8), 'v.txt')).toThrow(
      'Reading the vocabulary v.txt: found ArrayBuffer, expected a string or a Uint8Array',
    );
  });

  test('refuses bytes that are not UTF-8 and names their line', () => {
    const text = utf8.encode("1 'a' 1\n2 '?' 1\n");
    text[text.indexOf(0x3f)] = 0xff;
    expect(messageOf(text)).toContain('line 2: found bytes that are not UTF-8');
    expect(messageOf(Uint8Array.of(0x1f, 0x8b, 8, 0))).toContain('compressed with gzip');
  });

  test('refuses a file cut anywhere within a line', () => {
    const text = vocabularyText(smallTokens.slice(0, 300));
    const lineEnds = new Set([...text.matchAll(/\n/g)].flatMap(({ index }) => [index, index + 1]));
    for (let end = 0; end < text.length; end++) {
      if (!lineEnds.has(end)) expect(messageOf(text.slice(0, end))).not.toBe('accepted');
    }
  });
});

describeShared('parseVocabulary of the shared files', () => {
  test.each([
    ['vocab-length-lies.txt', 'line 2: found a token of 2 bytes'],
    ['vocab-code.txt', 'expected a Python literal'],
    ['vocab-duplicate.txt', 'found the id 1 of line 1 again'],
    ['vocab-no-length.txt', 'and a length'],
    ['vocab-bad-escape.txt', '2 hexadecimal digits'],
    ['web-page.pth', 'a web page'],
    ['lfs-pointer.pth', 'a Git LFS pointer'],
    ['tokenizer-cut.json', 'line 1'],
    ['noise.bin', 'not UTF-8'],
    ['empty.pth', 'an empty file'],
  ])('refuses %s', (file, message) => {
    expect(messageOf(readShared(`golden/broken/${file}`))).toContain(message);
  });

  test('knows every broken vocabulary of the manifest', () => {
    const text = new TextDecoder().decode(readShared('golden/broken/manifest.json'));
    const names = [...text.matchAll(/"(vocab-[^"]+)"/g)].map(([, name]) => name);
    expect(names.length).toBeGreaterThan(4);
    for (const name of names) {
      expect(messageOf(readShared(`golden/broken/${name}`))).toContain('v.txt, line');
    }
  });
});
