import { elementCount, firstNotFinite, isPacked, viewBytes } from '@rwkv-js/tensor';
import { existsSync, readdirSync, readFileSync } from 'node:fs';
import { expect, test } from 'vitest';
import { blockEncodings, openWeights, type OpenedWeights } from '../src/index.ts';
import { bytesSource } from '../src/bytes-source.ts';
import { readPickle } from '../src/pickle.ts';
import { torchTensors } from '../src/torch-tensors.ts';
import { openZip } from '../src/zip.ts';
import { describeShared, sharedPath } from '@rwkv-js/testing';
import { stateDict, torchLegacy, torchZip, type Storage, type Tensor } from './torch-writer.ts';

const golden = sharedPath('golden/');

/** Numbers of a tensor, whatever float type it is stored in. */
async function numbers(weights: OpenedWeights, name: string): Promise<number[]> {
  const bytes = await weights.read(name);
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  switch (weights.tensors.get(name)?.dtype) {
    case 'f32':
      return Array.from({ length: bytes.length / 4 }, (_, i) => view.getFloat32(4 * i, true));
    case 'f16':
      return Array.from({ length: bytes.length / 2 }, (_, i) =>
        fromF16(view.getUint16(2 * i, true)),
      );
    case 'bf16': {
      const words = Array.from({ length: bytes.length / 2 }, (_, i) => view.getUint16(2 * i, true));
      return [...new Float32Array(Uint32Array.from(words, (word) => word << 16).buffer)];
    }
    default:
      throw new Error(`${name} is no float tensor`);
  }
}

function fromF16(bits: number): number {
  const sign = bits & 0x8000 ? -1 : 1;
  const exponent = (bits >> 10) & 31;
  const fraction = bits & 1023;
  if (exponent === 0) return sign * fraction * 2 ** -24;
  return sign * (1 + fraction / 1024) * 2 ** (exponent - 15);
}

const models = ['v4', 'v5.0', 'v5.1', 'v5.2', 'v6', 'v7', 'v7-head64'];
/** Files of official names; the others have transformed ones. */
const official = [
  'model.safetensors',
  'model.f16.safetensors',
  'model.bf16.safetensors',
  'model.pth',
  'model.legacy.pth',
  'model.views.pth',
];

describeShared('golden models', () => {
  test.each(models)('%s gives the same numbers from every file', async (model) => {
    const files = official.filter((file) => existsSync(`${golden}${model}/${file}`));
    const first = await openWeights(`${golden}${model}/${files[0]}`);
    for (const file of files.slice(1)) {
      const other = await openWeights(`${golden}${model}/${file}`);
      expect([...other.tensors.keys()].sort()).toEqual([...first.tensors.keys()].sort());
      for (const [name, { shape }] of first.tensors) {
        expect(other.tensors.get(name)?.shape).toEqual(shape);
        expect(await numbers(other, name)).toEqual(await numbers(first, name));
      }
      await other.close();
    }
    await first.close();
  });

  test('every .pth, .st and .safetensors file opens and reads whole', async () => {
    const all = readdirSync(golden, { recursive: true, encoding: 'utf8' });
    const files = all.filter(
      (file) => /\.(pth|st|safetensors)$/.test(file) && !file.startsWith('broken'),
    );
    expect(files.length).toBeGreaterThan(50);
    for (const file of files) {
      const weights = await openWeights(golden + file);
      for (const name of weights.tensors.keys()) await weights.read(name);
      await weights.close();
    }
  });

  test('every GGUF and rwkv.cpp file and index opens and reads whole', async () => {
    const files = readdirSync(golden, { recursive: true, encoding: 'utf8' }).filter(
      (file) =>
        /(\.gguf|ggmf\.bin|tiny-rwkv.*\.bin|index\.json)$/.test(file) && !file.startsWith('broken'),
    );
    expect(files.length).toBeGreaterThan(20);
    for (const file of files) {
      const weights = await openWeights(golden + file);
      expect(weights.unsupported.size).toBe(0);
      for (const [name, entry] of weights.tensors) {
        if (isPacked(entry.dtype)) expect.fail(`${name} is packed`);
        const values = viewBytes(entry.dtype, await weights.read(name));
        expect(values.length).toBe(elementCount(entry.shape));
        expect(firstNotFinite(values, entry.dtype)).toBe(-1);
      }
      await weights.close();
    }
  });

  test.each(models.filter((model) => existsSync(`${golden}${model}/model.ggmf.bin`)))(
    'what rwkv.cpp does not change in %s is the same in its file',
    async (model) => {
      const original = await openWeights(`${golden}${model}/model.safetensors`);
      const file = await openWeights(`${golden}${model}/model.ggmf.bin`);
      const same = [...file.tensors.keys()].filter((name) =>
        /(key|value|emb|head).weight$/.test(name),
      );
      expect(same.length).toBeGreaterThan(8);
      for (const name of same) {
        expect(file.tensors.get(name)?.shape).toEqual(original.tensors.get(name)?.shape);
        expect(await numbers(file, name)).toEqual(await numbers(original, name));
      }
      await original.close();
      await file.close();
    },
  );

  test.each([
    ['v6/model.f32.gguf', 'v6/model.q8_0.gguf', 42],
    // Nine low-rank factors are transposed when they are read, and so are no blocks any more.
    ['v7/model.f32.gguf', 'v7/model.q8_0.gguf', 20],
    ['trained-v4/tiny-rwkv-4v0-660K-FP32.bin', 'trained-v4/tiny-rwkv-4v0-660K-Q5_0.bin', 28],
    ['trained-v7/tiny-rwkv-7v0-834K-FP16.bin', 'trained-v7/tiny-rwkv-7v0-834K-Q5_1.bin', 72],
  ])('quantising %s gives the blocks of %s', async (whole, quantised, count) => {
    const from = await openWeights(golden + whole);
    const to = await openWeights(golden + quantised);
    const names = [...to.tensors].filter(([, { blocks }]) => blocks).map(([name]) => name);
    expect(names).toHaveLength(count);
    for (const name of names) {
      const encoding = blockEncodings.find(
        (one) => one.name === to.tensors.get(name)?.blocks?.name,
      );
      const values = Float32Array.from(await numbers(from, name));
      const expected = await to.readBlocks(name);
      const blocks = new Uint8Array(expected.length);
      encoding?.encode(values, blocks);
      expect(Buffer.compare(blocks, expected)).toBe(0);
      // The coarsest of these formats has 16 levels on a side, and its far end may be a level off;
      // scales are multiples of 2^-24.
      const level = (Math.max(...values.map(Math.abs)) / 16) * 1.1 + 1e-6;
      (await numbers(to, name)).forEach((value, i) => {
        if (Math.abs(value - values[i]) > level) expect.fail(`${name} is far off at ${i}`);
      });
    }
    await from.close();
    await to.close();
  });

  test.each(['v6/model.f32', 'v6/model.q8_0', 'v7/model.f16', 'v7-head64/model.q8_0'])(
    'the vocabulary in %s.gguf is the one beside it',
    async (file) => {
      const weights = await openWeights(`${golden}${file}.gguf`);
      const beside = JSON.parse(
        readFileSync(`${golden}${file.slice(0, file.indexOf('/'))}/gguf-vocabulary.json`, 'utf8'),
      );
      const tokens = await weights.vocabulary?.();
      const found = tokens?.map((bytes) => (bytes ? Buffer.from(bytes).toString('base64') : null));
      expect(found).toEqual(beside.tokens_base64);
      await weights.close();
    },
  );

  test('the index of v4/hf-sharded gives what the one file has', async () => {
    const one = await openWeights(`${golden}v4/model.hf.safetensors`);
    const several = await openWeights(`${golden}v4/hf-sharded/model.safetensors.index.json`);
    expect(several.files).toBe(3);
    expect([...several.tensors.keys()].sort()).toEqual([...one.tensors.keys()].sort());
    for (const name of one.tensors.keys()) {
      expect(Buffer.compare(await several.read(name), await one.read(name))).toBe(0);
    }
    await one.close();
    await several.close();
  });

  test('expected.safetensors of v7 has the logits of every prompt token', async () => {
    const weights = await openWeights(`${golden}v7/expected.safetensors`);
    const tokens = weights.tensors.get('tokens');
    expect(tokens?.dtype).toBe('i32');
    expect(weights.tensors.get('logits')).toEqual({ dtype: 'f32', shape: [tokens?.shape[0], 70] });
    await weights.close();
  });

  test.each(['model', 'model.views'])(
    'the zip writer of the tests writes v7/%s.pth byte for byte as torch did',
    async (folder) => {
      const file = readFileSync(`${golden}v7/${folder}.pth`);
      const source = bytesSource(file);
      const zip = await openZip(source, {});
      const content = async (name: string): Promise<Uint8Array> => {
        const entry = zip.entries.get(name);
        if (!entry) throw new Error(`no entry ${name}`);
        return source.read(await zip.contentOffset(entry, {}), entry.size);
      };
      const { value } = readPickle(await content(`${folder}/data.pkl`), folder);
      const { tensors, storages } = await rebuild(value, (key) => content(`${folder}/data/${key}`));
      const sorted = storages.toSorted((a, b) => (a.key < b.key ? -1 : 1));
      const ordered = folder === 'model.views';
      const again = torchZip(stateDict(tensors, { ordered }), sorted, { folder });
      expect(Buffer.compare(again, file)).toBe(0);
    },
  );

  test('the legacy writer of the tests writes v7/model.legacy.pth byte for byte as torch did', async () => {
    const file = readFileSync(`${golden}v7/model.legacy.pth`);
    const pickles = [];
    for (let end = 0; pickles.length < 5;) {
      const result = readPickle(file, 'legacy', end);
      pickles.push(result);
      end = result.end;
    }
    const { tensors, storages } = await rebuild(pickles[3].value, async () => new Uint8Array(0));
    const keys = pickles[4].value;
    if (!Array.isArray(keys)) throw new Error('no list of keys');
    let at = pickles[4].end;
    const inOrder = keys.map((key) => {
      const storage = storages.find((candidate) => candidate.key === key);
      if (!storage) throw new Error(`no storage ${String(key)}`);
      const bytes = file.subarray(at + 8, at + 8 + 4 * storage.count);
      at += 8 + bytes.length;
      return { ...storage, bytes };
    });
    const again = torchLegacy(stateDict(tensors, { ordered: true, legacy: true }), inOrder);
    expect(Buffer.compare(again, file)).toBe(0);
  });
});

/** The tensors and storages of a pickle, as the writers of the tests take them. */
async function rebuild(
  value: Parameters<typeof torchTensors>[0],
  content: (key: string) => Promise<Uint8Array>,
): Promise<{ tensors: Tensor[]; storages: Storage[] }> {
  const storages = new Map<string, Storage>();
  const tensors: Tensor[] = [];
  for (const [name, { storage, view }] of torchTensors(value, 'golden').tensors) {
    const { key, type, count } = storage;
    const kind = type.name === 'BF16' ? 'BFloat16' : 'Float';
    const made = storages.get(key) ?? { key, kind, bytes: await content(key), count };
    storages.set(key, made);
    tensors.push({ name, storage: made, ...view });
  }
  return { tensors, storages: [...storages.values()] };
}
