import { FormatError } from '@rwkv-js/tensor';
import { describe, expect, test } from 'vitest';
import { openWeights } from './open-weights.ts';

function file(json: string, dataBytes: number): Uint8Array {
  const text = new TextEncoder().encode(json);
  const bytes = new Uint8Array(8 + text.length + dataBytes);
  new DataView(bytes.buffer).setBigUint64(0, BigInt(text.length), true);
  bytes.set(text, 8);
  return bytes;
}

const entry = (begin: number, end: number, dtype = 'F32', shape = [(end - begin) / 4]): string =>
  JSON.stringify({ dtype, shape, data_offsets: [begin, end] });

const refused = async (json: string, dataBytes: number, message: RegExp): Promise<void> => {
  const opening = openWeights(file(json, dataBytes));
  await expect(opening).rejects.toThrow(FormatError);
  await expect(opening).rejects.toThrow(message);
};

describe('safetensors', () => {
  test('takes scalars, empty tensors, any order of keys, padding and no tensor at all', async () => {
    const json = `{"b":${entry(4, 8)},"empty":${entry(4, 4, 'F16', [3, 0])},"a":${entry(0, 4, 'F32', [])}}`;
    const weights = await openWeights(file(`${json}   `, 8));
    expect([...weights.tensors.keys()]).toEqual(['b', 'empty', 'a']);
    expect(weights.tensors.get('a')?.shape).toEqual([]);
    expect(await weights.read('empty')).toHaveLength(0);
    expect((await openWeights(file('{}', 0))).tensors.size).toBe(0);
  });

  test('takes fields that it does not know', async () => {
    const json = `{"a":{"extra":[{"x":[null,true,-1.5e3]}],${entry(0, 4).slice(1)}}`;
    expect((await openWeights(file(json, 4))).tensors.size).toBe(1);
  });

  test('reads escaped names', async () => {
    const weights = await openWeights(file(`{"\\u0061\\"\\\\":${entry(0, 4)}}`, 4));
    expect([...weights.tensors.keys()]).toEqual(['a"\\']);
  });

  test('takes names that mean something in JavaScript as plain names', async () => {
    const json = `{"__proto__":${entry(0, 4)},"constructor":${entry(4, 8)}}`;
    const weights = await openWeights(file(json, 8));
    expect(await weights.read('__proto__')).toHaveLength(4);
    await expect(weights.read('toString')).rejects.toThrow(/no tensor "toString"/);
  });

  test.each([
    ['a name that comes twice', `{"a":${entry(0, 4)},"a":${entry(0, 4)}}`, 4, /"a" comes twice/],
    [
      'a name that comes twice in two spellings',
      `{"a":${entry(0, 4)},"\\u0061":${entry(0, 4)}}`,
      4,
      /"a" comes twice/,
    ],
    [
      'a field that comes twice',
      '{"a":{"dtype":"F32","dtype":"F16","shape":[1],"data_offsets":[0,4]}}',
      4,
      /"dtype" comes twice/,
    ],
    ['metadata that is no text', '{"__metadata__":{"a":1}}', 0, /string was expected/],
    ['an unknown dtype', `{"a":${entry(0, 4, 'F7')}}`, 4, /unknown dtype "F7"/],
    ['a missing field', '{"a":{"dtype":"F32","shape":[1]}}', 4, /data_offsets/],
    ['a negative offset', `{"a":${entry(-4, 0)}}`, 4, /"-4"/],
    [
      'a number beyond 2^53',
      '{"a":{"dtype":"F32","shape":[9007199254740993],"data_offsets":[0,4]}}',
      4,
      /"9007199254740993"/,
    ],
    ['a product that overflows', `{"a":${entry(0, 4, 'F32', [2 ** 40, 2 ** 40])}}`, 4, /too many/],
    ['half a byte', `{"a":${entry(0, 1, 'F4', [1])}}`, 1, /no whole number of bytes/],
    ['a hole', `{"a":${entry(0, 4)},"b":${entry(8, 12)}}`, 12, /hole/],
    ['an overlap', `{"a":${entry(0, 8)},"b":${entry(4, 12)}}`, 12, /overlaps/],
    ['bytes after the last tensor', `{"a":${entry(0, 4)}}`, 8, /4 bytes after the last tensor/],
    ['a tensor past the end', `{"a":${entry(0, 16)}}`, 8, /cut short/],
    ['text after the header', `{"a":${entry(0, 4)}}x`, 4, /follows the header/],
    ['a header that begins with a space', ` {"a":${entry(0, 4)}}`, 4, /first byte/],
    ['a comma too many', `{"a":${entry(0, 4)},}`, 4, /string was expected/],
    ['deep nesting', `{"a":{"x":${'['.repeat(100_000)}`, 0, /nest deeper/],
    ['an unfinished string', '{"a', 0, /no end/],
    ['a wrong escape', '{"\\x":1}', 0, /escape/],
  ])('refuses %s', (_, json, dataBytes, message) => refused(json, dataBytes, message));

  test('refuses a header that is no UTF-8', async () => {
    const bytes = file('{"a?":1}', 0);
    bytes[11] = 0xff;
    await expect(openWeights(bytes)).rejects.toThrow(/UTF-8/);
  });

  test('refuses a header longer than the format allows without reading it', async () => {
    const bytes = file('{}', 0);
    new DataView(bytes.buffer).setUint32(0, 0xffffffff, true);
    await expect(openWeights(bytes)).rejects.toThrow(/4294967295 bytes/);
  });
});
