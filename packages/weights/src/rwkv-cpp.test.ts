import { FormatError, viewBytes } from '@rwkv-js/tensor';
import { describe, expect, test } from 'vitest';
import { rwkvCppFile, type RwkvCppTensor } from '../test/rwkv-cpp-writer.ts';
import { blockFormats } from './blocks/block-formats.ts';
import { openWeights } from './open-weights.ts';

const plain: RwkvCppTensor = {
  name: 'emb.weight',
  type: 0,
  shape: [2, 3],
  bytes: new Uint8Array(Float32Array.of(1, 2, 3, 4, 5, 6).buffer),
};

describe('rwkv.cpp', () => {
  test.each([100, 101])(
    'version %i: tensors lie one after another, without padding',
    async (version) => {
      const half = { name: 'half', type: 1, shape: [3], bytes: Uint8Array.of(1, 2, 3, 4, 5, 6) };
      const file = rwkvCppFile([half, plain, { ...plain, name: 'x', shape: [1, 6, 1] }], version);
      const weights = await openWeights(file);
      expect(weights.container).toBe('rwkv.cpp');
      expect(Object.fromEntries(weights.metadata)).toMatchObject({
        version: String(version),
        n_vocab: '6',
        n_embed: '4',
        n_layer: '1',
        data_type: 'F32',
      });
      expect(weights.tensors.get('half')).toEqual({ dtype: 'f16', shape: [3] });
      expect(weights.tensors.get('x')).toEqual({ dtype: 'f32', shape: [1, 6, 1] });
      expect(await weights.read('half')).toEqual(half.bytes);
      expect([...viewBytes('f32', await weights.read('x'))]).toEqual([1, 2, 3, 4, 5, 6]);
    },
  );

  test.each([
    [2, 'Q4_0'],
    [3, 'Q4_1'],
    [7, 'Q5_0'],
    [8, 'Q5_1'],
    [9, 'Q8_0'],
    [11, 'Q2_K'],
    [12, 'Q3_K'],
    [13, 'Q4_K'],
    [14, 'Q5_K'],
    [15, 'Q6_K'],
  ])('type %i is %s', async (type, name) => {
    const format = blockFormats.get(name);
    if (!format) throw new Error(`no format ${name}`);
    const bytes = Uint8Array.from({ length: 2 * format.bytes }, (_, i) => (i * 29) & 0x3f);
    const shape = [2, format.elements];
    const weights = await openWeights(rwkvCppFile([{ name: 'w', type, shape, bytes }, plain]));
    expect(weights.tensors.get('w')).toMatchObject({ dtype: 'f32', shape, blocks: { name } });
    const expected = new Float32Array(2 * format.elements);
    format.decode(bytes, expected);
    expect(viewBytes('f32', await weights.read('w'))).toEqual(expected);
    expect(await weights.readBlocks('w')).toEqual(bytes);
    expect(await weights.read('emb.weight')).toEqual(plain.bytes);
  });

  test('a quantised tensor of many pieces is read whole', async () => {
    const format = blockFormats.get('Q8_0');
    if (!format) throw new Error('no Q8_0');
    const count = 300_000;
    const bytes = new Uint8Array(count * 34);
    // The scale 1, and the number of the block in its first place.
    for (let i = 0; i < count; i++) bytes.set([0, 0x3c, i % 100], 34 * i);
    const shape = [count / 10, 320];
    const weights = await openWeights(rwkvCppFile([{ name: 'w', type: 9, shape, bytes }]));
    const values = viewBytes('f32', await weights.read('w'));
    expect(values).toHaveLength(count * 32);
    for (let i = 0; i < count; i++) {
      if (values[32 * i] !== i % 100 || values[32 * i + 1] !== 0)
        expect.fail(`block ${i} is wrong`);
    }
  });

  const q5 = { name: 'w', type: 7, shape: [1, 32], bytes: new Uint8Array(22) };
  test.each([
    ['of version 102', rwkvCppFile([plain], 102), /version is 102, and 100 and 101/],
    ['of version 100 and quantised', rwkvCppFile([q5], 100), /quantise the model again/],
    ['without tensors', rwkvCppFile([]), /holds no tensor/],
    ['with four axes', rwkvCppFile([{ ...plain, shape: [1, 1, 2, 3] }]), /4 dimensions/],
    ['with no axis', rwkvCppFile([{ ...plain, shape: [] }]), /0 dimensions/],
    ['with a tensor twice', rwkvCppFile([plain, plain]), /two tensors are named "emb.weight"/],
    ['with a removed type', rwkvCppFile([{ ...plain, type: 4 }]), /Q4_1_O \(4\)/],
    ['with an unknown type', rwkvCppFile([{ ...plain, type: 99 }]), /type number \(99\)/],
    ['with activations', rwkvCppFile([{ ...plain, type: 16 }]), /Q8_K \(16\)/],
    ['with half a block', rwkvCppFile([{ ...q5, shape: [2, 16] }]), /blocks of 32 in a row/],
    [
      'with a huge tensor',
      rwkvCppFile([{ ...plain, shape: [2 ** 31, 2 ** 31, 2 ** 31] }]),
      /larger than any file/,
    ],
    ['with a name of no text', rwkvCppFile([{ ...plain, name: 'n'.repeat(2000) }]), /2000 bytes/],
    ['cut in its data', rwkvCppFile([plain]).subarray(0, -1), /takes 24 bytes, and 23 follow/],
    ['cut in its header', rwkvCppFile([plain]).subarray(0, 12), /the header takes 20 bytes/],
  ])('a file %s is refused', async (_, file, message) => {
    await expect(openWeights(file)).rejects.toThrow(FormatError);
    await expect(openWeights(file)).rejects.toThrow(message);
  });
});
