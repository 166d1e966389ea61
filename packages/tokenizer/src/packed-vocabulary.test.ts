import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { describeShared, readShared } from '@rwkv-js/testing';
import { smallTokens, vocabularyText } from '../test/small-vocabulary.ts';
import { packVocabulary, unpackVocabulary } from './packed-vocabulary.ts';
import { parseVocabulary } from './parse-vocabulary.ts';
import { listTokens } from './token-list.ts';
import { wordChecksum } from './word-checksum.ts';
import { worldFromList } from './world-from-list.ts';
import type { WorldTokenizer } from './world-tokenizer.ts';

const small = parseVocabulary(vocabularyText(smallTokens), 'small');
const packed = packVocabulary(small);

function expectSame(found: WorldTokenizer, expected: WorldTokenizer): void {
  expect(found.vocabularySize).toBe(expected.vocabularySize);
  for (let id = 0; id < expected.vocabularySize; id++) {
    const bytes = expected.tokenBytes(id);
    if (Buffer.compare(found.tokenBytes(id), bytes) !== 0) expect(found.tokenBytes(id)).toBe(bytes);
    if (bytes.length > 0 && found.encode(bytes)[0] !== id) expect(found.encode(bytes)).toBe(id);
  }
}

function world(tokens: readonly { id: number; bytes: Uint8Array }[]): WorldTokenizer {
  return worldFromList('test', listTokens(tokens), {
    place: String,
    fail: (n, found) => expect.fail(`${n}: ${found}`),
  });
}

/** The file with other bytes, and the checksum that belongs to them. */
function forged(
  change: (file: Uint8Array, view: DataView) => void,
  of: Uint8Array = packed,
): Uint8Array {
  const file = of.slice();
  const view = new DataView(file.buffer);
  change(file, view);
  view.setUint32(24, wordChecksum(file.subarray(28)), true);
  return file;
}

describe('a packed vocabulary', () => {
  test('gives back every token, and the same file again', () => {
    const tokenizer = unpackVocabulary(packed, 'packed');
    expect(tokenizer.name).toBe('packed');
    expectSame(tokenizer, small);
    expect(packVocabulary(tokenizer)).toEqual(packed);
  });

  test('is read from the middle of a larger buffer', () => {
    const larger = new Uint8Array(packed.length + 9);
    larger.set(packed, 5);
    expectSame(unpackVocabulary(larger.subarray(5, 5 + packed.length), 'packed'), small);
  });

  test('holds any tokens under any ids, and nodes with all 256 children', () => {
    const tokens = fc
      .uniqueArray(fc.uint8Array({ minLength: 1, maxLength: 5 }), {
        minLength: 1,
        selector: (bytes) => bytes.join(),
      })
      .chain((list) =>
        fc
          .uniqueArray(fc.nat(400), { minLength: list.length, maxLength: list.length })
          .map((ids) => list.map((bytes, n) => ({ bytes, id: ids[n] }))),
      );
    fc.assert(
      fc.property(tokens, (list) => {
        const tokenizer = world(list);
        expectSame(unpackVocabulary(packVocabulary(tokenizer), 'packed'), tokenizer);
      }),
      { seed: 7, numRuns: 40 },
    );
    const wide = world(
      Array.from({ length: 512 }, (_, n) => ({
        id: 1000 - n,
        bytes: n < 256 ? Uint8Array.of(n) : Uint8Array.of(7, n - 256),
      })),
    );
    expectSame(unpackVocabulary(packVocabulary(wide), 'packed'), wide);
  });

  test('has a checksum that is FNV-1a over words, the last filled with zeros', () => {
    // (offset basis xor word) × prime, modulo 2^32.
    expect(wordChecksum(new Uint8Array(0))).toBe(0x811c9dc5);
    const one = Number(((0x811c9dc5n ^ 0x44434241n) * 0x01000193n) & 0xffffffffn);
    expect(wordChecksum(new TextEncoder().encode('ABCD'))).toBe(one);
    const two = Number(((BigInt(one) ^ 0x45n) * 0x01000193n) & 0xffffffffn);
    expect(wordChecksum(new TextEncoder().encode('ABCDE'))).toBe(two);
  });

  test('is refused when cut anywhere or changed in any byte', () => {
    for (let at = 0; at < packed.length; at++) {
      const changed = packed.slice();
      changed[at] ^= 1 + (at % 255);
      for (const file of [packed.subarray(0, at), changed]) {
        expect(() => unpackVocabulary(file, 'v.bin')).toThrow(
          expect.objectContaining({
            name: 'FormatError',
            message: expect.stringMatching(/^Reading the packed vocabulary v\.bin: found /),
          }),
        );
      }
    }
  });

  test('never crashes or hangs on forged bytes', () => {
    fc.assert(
      fc.property(
        fc.nat(packed.length - 29),
        fc.uint8Array({ minLength: 1, maxLength: 8 }),
        (at, bytes) => {
          const file = forged((changed) =>
            changed.set(bytes.subarray(0, packed.length - 28 - at), 28 + at),
          );
          try {
            const tokenizer = unpackVocabulary(file, 'v.bin');
            tokenizer.decode(tokenizer.encode(new Uint8Array(0)));
          } catch (error) {
            expect(error).toMatchObject({ name: 'FormatError' });
          }
        },
      ),
      { seed: 9, numRuns: 3000 },
    );
  });

  test.each<[string, (file: Uint8Array, view: DataView) => void]>([
    ['found version 2', (_, view) => view.setUint32(8, 2, true)],
    ['as long as it says', (_, view) => view.setUint32(12, 0xffffffff, true)],
    ['as long as it says', (_, view) => view.setUint32(16, 0, true)],
    ['another checksum', (file) => (file[30] ^= 255)],
  ])('says %j', (message, change) => {
    const file = packed.slice();
    change(file, new DataView(file.buffer));
    expect(() => unpackVocabulary(file, 'v.bin')).toThrow(message);
  });

  test('says which child is out of order, and which id is there twice', () => {
    const two = packVocabulary(
      world([
        { id: 5, bytes: Uint8Array.of(97) },
        { id: 3, bytes: Uint8Array.of(98) },
      ]),
    );
    expect([...two.subarray(28, 34)]).toEqual([5, 1, 3, 1, 97, 98]);
    const unpack = (at: number, byte: number) => () =>
      unpackVocabulary(
        forged((file) => (file[at] = byte), two),
        'v.bin',
      );
    expect(unpack(32, 98)).toThrow('children in order');
    expect(unpack(30, 5)).toThrow('found the id 5 again, expected an id that is new');
    expect(unpack(29, 2)).toThrow('found 3 ids, expected one for each of 2 tokens');
  });
});

describeShared('the packed World vocabulary', () => {
  test('is a quarter of the file and gives back all 65529 tokens', () => {
    const file = readShared('data/tokenizer/rwkv_vocab_v20230424.txt');
    const tokenizer = parseVocabulary(file, 'World');
    const bytes = packVocabulary(tokenizer);
    expect(bytes.length).toBeLessThan(file.length / 4);
    expectSame(unpackVocabulary(bytes, 'World'), tokenizer);
  });
});
