import { FormatError, UsageError, viewBytes } from '@rwkv-js/tensor';
import { truncate, mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { describe, expect, onTestFinished, test } from 'vitest';
import {
  ggufFile,
  type GgufOptions,
  type GgufTensor,
  type GgufValue,
} from '../test/gguf-writer.ts';
import { q8_0 } from './blocks/q8-0.ts';
import { openWeights } from './open-weights.ts';

const f32 = (values: readonly number[]): Uint8Array =>
  new Uint8Array(Float32Array.from(values).buffer);

const plain: GgufTensor = {
  name: 'blk.0.attn_norm.weight',
  type: 0,
  shape: [2, 3],
  bytes: f32([1, 2, 3, 4, 5, 6]),
};

const numbers = Float32Array.from({ length: 2 * 64 }, (_, i) => Math.cos(i));
const blocks = new Uint8Array(4 * 34);
q8_0.encode(numbers, blocks);
const quantised: GgufTensor = { name: 'output.weight', type: 8, shape: [2, 64], bytes: blocks };

const string = (value: string): GgufValue => ({ type: 'string', value });
const vocabulary = (tokens: readonly string[], types?: readonly number[]): GgufOptions => ({
  metadata: {
    'tokenizer.ggml.model': string('rwkv'),
    'tokenizer.ggml.tokens': { type: 'list', of: 'string', values: tokens },
    ...(types && { 'tokenizer.ggml.token_type': { type: 'list', of: 'i32', values: types } }),
  },
});

describe('GGUF', () => {
  test.each([2, 3])(
    'version %i: tensors are read with their shapes in torch’s order',
    async (version) => {
      const weights = await openWeights(ggufFile([plain, quantised], { version }));
      expect(weights.container).toBe('GGUF');
      expect(weights.tensors.get(plain.name)).toEqual({ dtype: 'f32', shape: [2, 3] });
      const bytes = await weights.read(plain.name);
      expect([...viewBytes('f32', bytes)]).toEqual([1, 2, 3, 4, 5, 6]);
      await weights.close();
    },
  );

  test('a quantised tensor is read as f32, and its blocks as they are', async () => {
    const weights = await openWeights(ggufFile([plain, quantised]));
    const entry = weights.tensors.get('output.weight');
    expect(entry).toMatchObject({ dtype: 'f32', shape: [2, 64], blocks: { name: 'Q8_0' } });
    const expected = new Float32Array(128);
    q8_0.decode(blocks, expected);
    expect(viewBytes('f32', await weights.read('output.weight'))).toEqual(expected);
    expect(await weights.readBlocks('output.weight')).toEqual(blocks);
    await expect(weights.readBlocks(plain.name)).rejects.toThrow(UsageError);
    await expect(weights.readBlocks(plain.name)).rejects.toThrow(/is F32 and has no blocks/);
    await expect(weights.readBlocks('nothing')).rejects.toThrow(/no tensor "nothing"/);
    await weights.close();
    await expect(weights.readBlocks('output.weight')).rejects.toThrow(UsageError);
  });

  test('half and brain floats stay as they are', async () => {
    const bytes = Uint8Array.of(0, 0x3c, 0, 0x40);
    const weights = await openWeights(
      ggufFile([
        { name: 'half', type: 1, shape: [2], bytes },
        { name: 'brain', type: 30, shape: [2], bytes },
      ]),
    );
    expect(weights.tensors.get('half')?.dtype).toBe('f16');
    expect(weights.tensors.get('brain')?.dtype).toBe('bf16');
    expect(await weights.read('brain')).toEqual(bytes);
  });

  test('types without a reader are listed by name, and refused by it when read', async () => {
    const weights = await openWeights(
      ggufFile([
        { name: 'small', type: 23, shape: [1, 256], bytes: new Uint8Array(136) },
        { name: 'counts', type: 27, shape: [1], bytes: new Uint8Array(8) },
        plain,
      ]),
    );
    expect(Object.fromEntries(weights.unsupported)).toEqual({
      small: { elementType: 'IQ4_XS', shape: [1, 256] },
      counts: { elementType: 'I64', shape: [1] },
    });
    await expect(weights.read('small')).rejects.toThrow(/"small" has elements of IQ4_XS, .*Q6_K/);
    await expect(weights.read('small')).rejects.toThrow(FormatError);
    expect(await weights.read(plain.name)).toHaveLength(24);
  });

  test('scalars of every type are metadata as text', async () => {
    const weights = await openWeights(
      ggufFile([], {
        metadata: {
          a: { type: 'u8', value: 255 },
          b: { type: 'i8', value: -1 },
          c: { type: 'u16', value: 65535 },
          d: { type: 'i16', value: -2 },
          e: { type: 'u32', value: 4294967295 },
          f: { type: 'i32', value: -3 },
          g: { type: 'f32', value: 1e-5 },
          h: { type: 'bool', value: 1 },
          i: { type: 'u64', value: 2n ** 64n - 1n },
          j: { type: 'i64', value: -(2n ** 63n) },
          k: { type: 'f64', value: 0.1 },
          l: string('wörld'),
          ['__proto__']: string('no harm'),
        },
      }),
    );
    expect([...weights.metadata.values()].join(' ')).toBe(
      '255 -1 65535 -2 4294967295 -3 0.00001 true 18446744073709551615 -9223372036854775808 0.1 wörld no harm',
    );
  });

  test('lists stay in the file until they are read', async () => {
    const inner: GgufValue = { type: 'list', of: 'u8', values: [1] };
    const weights = await openWeights(
      ggufFile([plain], {
        metadata: {
          words: { type: 'list', of: 'string', values: ['', 'one', 'zwei'] },
          sizes: { type: 'list', of: 'u64', values: [2n ** 60n] },
          nested: { type: 'list', of: 'list', values: [inner, inner] },
          after: string('here'),
        },
      }),
    );
    expect(weights.metadata.get('after')).toBe('here');
    const { words, sizes, nested } = Object.fromEntries(weights.lists);
    expect([words.elementType, words.length]).toEqual(['string', 3]);
    expect(await words.read()).toEqual(['', 'one', 'zwei']);
    expect(await sizes.read()).toEqual([2n ** 60n]);
    expect([nested.elementType, nested.length]).toEqual(['list', 2]);
    await expect(nested.read()).rejects.toThrow(/list of lists/);
    const signal = AbortSignal.abort();
    await expect(words.read({ signal })).rejects.toMatchObject({ name: 'AbortError' });
    await weights.close();
    await expect(words.read()).rejects.toThrow(UsageError);
  });

  test('the alignment that the file states is that of its data', async () => {
    const file = ggufFile([plain, { ...plain, name: 'second' }], {
      alignment: 4096,
      metadata: { 'general.alignment': { type: 'u32', value: 4096 } },
    });
    const weights = await openWeights(file);
    expect(await weights.read('second')).toEqual(plain.bytes);
  });

  test('opens a file of nine gigabytes by its header', async () => {
    const folder = await mkdtemp(join(tmpdir(), 'rwkv-gguf-'));
    onTestFinished(() => rm(folder, { recursive: true }));
    const big = { name: 'big', type: 1, shape: [2 ** 16, 2 ** 16], bytes: new Uint8Array(0) };
    const file = ggufFile([big, { ...plain, name: 'last' }], { offsets: [0, 2 ** 33] });
    const path = join(folder, 'sparse.gguf');
    const dataStart = file.length - plain.bytes.length;
    await writeFile(path, file.subarray(0, dataStart));
    await truncate(path, dataStart + 2 ** 33 + 24);
    const weights = await openWeights(path);
    expect(weights.tensors.get('big')?.shape).toEqual([2 ** 16, 2 ** 16]);
    expect(await weights.read('last')).toEqual(new Uint8Array(24));
    await weights.close();
  });
});

describe('the vocabulary of a GGUF file', () => {
  test('is the bytes of its tokens, without control tokens and fillers', async () => {
    const tokens = ['<s>', String.raw`\x00`, String.raw`\t\n\r\\`, String.raw`it's`, '[PAD4]'];
    const weights = await openWeights(ggufFile([], vocabulary(tokens, [3, 1, 1, 1, 5])));
    const found = await weights.vocabulary?.();
    expect(found?.map((bytes) => bytes && [...bytes])).toEqual([
      undefined,
      [0],
      [9, 10, 13, 92],
      [...new TextEncoder().encode("it's")],
      undefined,
    ]);
  });

  test('is absent where there are no tokens', async () => {
    expect((await openWeights(ggufFile([plain]))).vocabulary).toBeUndefined();
  });

  test.each([
    ['half an escape', vocabulary([String.raw`a\x1`]), /ends in half an escape/],
    ['a backslash at the end', vocabulary(['a\\']), /ends in half an escape/],
    ['other text than bytes', vocabulary(['Ġthe']), /other characters than ASCII/],
    ['too few types', vocabulary(['a', 'b'], [1]), /2 tokens and the types of 1/],
    [
      'another kind of vocabulary',
      { metadata: { ...vocabulary(['a']).metadata, 'tokenizer.ggml.model': string('gpt2') } },
      /of the kind "gpt2", and "rwkv" was expected/,
    ],
    [
      'tokens that are numbers',
      {
        metadata: {
          'tokenizer.ggml.model': string('rwkv'),
          'tokenizer.ggml.tokens': { type: 'list', of: 'u8', values: [1] },
        },
      } satisfies GgufOptions,
      /of the type u8, not text/,
    ],
  ] satisfies [string, GgufOptions, RegExp][])('%s is refused', async (_, options, message) => {
    const weights = await openWeights(ggufFile([], options));
    await expect(weights.vocabulary?.()).rejects.toThrow(FormatError);
    await expect(weights.vocabulary?.()).rejects.toThrow(message);
  });
});

describe('a GGUF file', () => {
  const twice = ggufFile([], { metadata: { a: string(''), b: string('') } });
  twice[twice.lastIndexOf('b'.charCodeAt(0))] = 'a'.charCodeAt(0);
  const bigEndian = ggufFile([plain]);
  bigEndian.set([0, 0, 0, 3], 4);

  test.each([
    ['of version 1', ggufFile([plain], { version: 1 }), /version 1, .* convert the model again/],
    ['of an unknown version', ggufFile([plain], { version: 4 }), /version is 4, and 2 and 3/],
    ['in big-endian', bigEndian, /big-endian/],
    [
      'of another model',
      ggufFile([plain], { metadata: { 'general.architecture': string('llama') } }),
      /"llama", which is not RWKV/,
    ],
    [
      'in parts',
      ggufFile([plain], { metadata: { 'split.count': { type: 'u16', value: 3 } } }),
      /one of 3 parts.*--merge/,
    ],
    ['with a key twice', twice, /metadata "a" comes twice/],
    ['with a tensor twice', ggufFile([plain, plain]), /"blk.0.attn_norm.weight" comes twice/],
    ['with five axes', ggufFile([{ ...plain, shape: [1, 1, 1, 2, 3] }]), /5 axes/],
    [
      'with overlapping tensors',
      ggufFile([plain, { ...plain, name: 'b' }], { offsets: [0, 0] }),
      /"b" overlaps/,
    ],
    ['with a tensor off the alignment', ggufFile([plain], { offsets: [8] }), /no multiple of 32/],
    ['with a tensor past the end', ggufFile([plain], { offsets: [64] }), /cut short/],
    [
      'with a row that is no whole block',
      ggufFile([{ ...quantised, shape: [4, 32 - 1] }]),
      /Q8_0 .* multiple of 32/,
    ],
    ['with more tensors than bytes', ggufFile([plain], { tensorCount: 1e9 }), /1000000000 tensors/],
    ['with a removed type', ggufFile([{ ...plain, type: 4 }]), /type 4/],
    [
      'with an alignment of 24',
      ggufFile([plain], { metadata: { 'general.alignment': { type: 'u32', value: 24 } } }),
      /power of two/,
    ],
    ['with a longer name than any', ggufFile([{ ...plain, name: 'n'.repeat(1025) }]), /1025 bytes/],
  ])('%s is refused', async (_, file, message) => {
    await expect(openWeights(file)).rejects.toThrow(FormatError);
    await expect(openWeights(file)).rejects.toThrow(message);
  });
});
