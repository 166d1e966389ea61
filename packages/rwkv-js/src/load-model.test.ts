import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { specificationWeights } from '@rwkv-js/testing';
import { viewBytes } from '@rwkv-js/tensor';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { encodeSafetensors, loadModel, openDevice, openTokenizer, stories } from './index.ts';
import type { Device } from './index.ts';

let device: Device;
let folder: string;
let bytes: Uint8Array;

beforeAll(async () => {
  device = await openDevice();
  folder = await mkdtemp(join(tmpdir(), 'rwkv-js-'));
  const source = specificationWeights('7');
  const tensors = await Promise.all(
    [...source.tensors].map(async ([name, entry]) => ({
      name,
      ...entry,
      data: viewBytes(entry.dtype, await source.read(name)),
    })),
  );
  bytes = encodeSafetensors(tensors);
  await writeFile(join(folder, 'model.safetensors'), bytes);
});

afterAll(async () => {
  await device.dispose();
  await rm(folder, { recursive: true });
});

/** The model with another number of tokens, whose weights are zeros. */
async function withRows(rows: number): Promise<Uint8Array> {
  const source = specificationWeights('7');
  const tensors = await Promise.all(
    [...source.tensors].map(async ([name, { dtype, shape }]) => {
      const sized = name === 'emb.weight' || name === 'head.weight';
      if (!sized) return { name, dtype, shape, data: viewBytes(dtype, await source.read(name)) };
      const data = new Uint8Array(rows * shape[1]! * (dtype === 'f32' ? 4 : 2));
      return { name, dtype, shape: [rows, shape[1]!], data };
    }),
  );
  return encodeSafetensors(tensors);
}

describe('loadModel', () => {
  test('loads the embedded model with its vocabulary and the settings of its card', async () => {
    await using model = await loadModel({ device });
    expect(model.config).toMatchObject({
      version: '7',
      layers: 6,
      width: 256,
      vocabularySize: 2048,
    });
    const text = await model.generate({ prompt: 'Once upon a time', maxTokens: 8, seed: 1 }).text();
    expect(text).toMatch(/^, there was a/);
  });

  test('loads one file from a path, an address, a Blob or bytes alike', async () => {
    const path = join(folder, 'model.safetensors');
    const inputs = [path, new URL(`file://${path}`), new Blob([bytes as BlobPart]), bytes];
    const logits = await Promise.all(
      inputs.map(async (input) => {
        await using model = await loadModel(input, { device });
        const session = model.session();
        await session.feed([1, 2, 3]);
        return await session.logits();
      }),
    );
    for (const found of logits) expect(found).toEqual(logits[0]);
  });

  test('takes a vocabulary by its file or as a tokenizer', async () => {
    const tokenizer = await openTokenizer(stories.vocabulary);
    await using model = await loadModel(stories.weights, { device, vocabulary: tokenizer });
    expect(model.tokenizer).toBe(tokenizer);
    expect(tokenizer.decode(tokenizer.encode('Hello, 🦊!'))).toBe('Hello, 🦊!');
  });

  test('refuses the vocabulary of another model', async () => {
    await expect(loadModel(bytes, { device, vocabulary: stories.vocabulary })).rejects.toThrow(
      'they do not belong together: give the model',
    );
  });

  test('names model and vocabulary that do not belong together, and which would', async () => {
    const ids = (count: number) =>
      new TextEncoder().encode(
        JSON.stringify(
          Object.fromEntries(
            Array.from({ length: count }, (_, id) => [
              id,
              [...String(id)].map((digit) => digit.charCodeAt(0)),
            ]),
          ),
        ),
      );
    const attempt = async (rows: number, tokens: number) => {
      const vocabulary = new File([ids(tokens)], 'vocab.json');
      await using model = await loadModel(await withRows(rows), { device, vocabulary });
      return model.tokenizer!.vocabularySize;
    };
    await expect(attempt(50277, 65530)).rejects.toThrow(
      /has 50277 rows of embedding, and vocabulary vocab\.json has ids up to 65529; .*20B_tokenizer\.json/,
    );
    await expect(attempt(65536, 50277)).rejects.toThrow(
      /has 65536 rows .* up to 50276; .*rwkv_vocab_v20230424\.txt/,
    );
    await expect(attempt(256, 65530)).rejects.toThrow(/has 256 rows .* reads bytes/);
    expect(await attempt(65536, 65530)).toBe(65530);
    expect(await attempt(50277, 50277)).toBe(50277);
    await using model = await loadModel(await withRows(256), { device });
    expect(model.tokenizer!.name).toBe('bytes');
  });

  test('says that a device is missing, or still a promise', async () => {
    for (const options of [undefined, {}, { device: 'cpu' }, { device: openDevice() }]) {
      await expect(loadModel(bytes, options as never)).rejects.toThrow(
        'loadModel was given no device; open one first: device: await openDevice()',
      );
    }
  });

  test('refuses a model where a vocabulary belongs, and a path that is not there', async () => {
    await expect(loadModel(bytes, { device, vocabulary: bytes })).rejects.toMatchObject({
      name: 'FormatError',
    });
    const missing = join(folder, 'no-such-file.pth');
    await expect(loadModel(missing, { device })).rejects.toThrow('no-such-file.pth');
    await expect(loadModel(missing, { device })).rejects.toMatchObject({ name: 'UsageError' });
  });
});

describe('openDevice', () => {
  test('refuses a name that it does not know with those it knows', async () => {
    await expect(openDevice('gpu')).rejects.toThrow(
      "there is no device 'gpu'; choose one of: wasm, webgpu, cpu, auto",
    );
    await expect(openDevice('toString')).rejects.toThrow("there is no device 'toString'");
  });
});
