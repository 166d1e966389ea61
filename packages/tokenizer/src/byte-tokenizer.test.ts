import fc from 'fast-check';
import { expect, test } from 'vitest';
import { ByteTokenizer } from './byte-tokenizer.ts';

const tokenizer = new ByteTokenizer();

test('the ids of the byte tokenizer are the bytes', () => {
  expect(tokenizer.name).toBe('bytes');
  expect(tokenizer.vocabularySize).toBe(256);
  expect(tokenizer.paddedSize).toBe(256);
  expect(tokenizer.encode('aé\0')).toEqual(Uint32Array.of(0x61, 0xc3, 0xa9, 0));
  expect(tokenizer.decode([0, 0xc3, 0xa9])).toBe('\0é');
  expect(tokenizer.tokenBytes(255)).toEqual(Uint8Array.of(255));
  expect(() => tokenizer.decode([256])).toThrow('an integer from 0 to 255');
});

test('the byte tokenizer gives back all bytes', () => {
  fc.assert(
    fc.property(fc.uint8Array({ maxLength: 300 }), (bytes) => {
      expect(tokenizer.decodeBytes(tokenizer.encode(bytes))).toEqual(bytes);
    }),
    { seed: 4 },
  );
});

test('with 128 ids they are the codes of ASCII, and other bytes are refused', () => {
  const ascii = new ByteTokenizer(128);
  expect([...ascii.encode('X:1')]).toEqual([88, 58, 49]);
  expect([ascii.vocabularySize, ascii.paddedSize]).toEqual([128, 128]);
  expect(() => ascii.encode('aé')).toThrow('found the byte 0xc3 at byte 1, expected ASCII');
});
