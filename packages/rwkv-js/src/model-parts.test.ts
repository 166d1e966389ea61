import { openMemoryCache } from '@rwkv-js/hub';
import { viewBytes } from '@rwkv-js/tensor';
import { specificationWeights } from '@rwkv-js/testing';
import { describe, expect, test } from 'vitest';
import {
  encodeSafetensors,
  loadModel,
  modelAddresses,
  openDevice,
  openWeights,
  type LoadModelProgress,
} from './index.ts';

const source = specificationWeights('7');
const names = [...source.tensors.keys()];
const fileOf = (name: string): string =>
  names.indexOf(name) % 2 === 0 ? 'model-1-of-2.safetensors' : 'model 2 of 2.safetensors';

async function encoded(chosen: readonly string[]): Promise<Uint8Array> {
  const tensors = chosen.map(async (name) => {
    const entry = source.tensors.get(name)!;
    return { name, ...entry, data: viewBytes('f32', await source.read(name)) };
  });
  return encodeSafetensors(
    (await Promise.all(tensors)).map((one) => ({ ...one, dtype: 'f32' as const })),
  );
}

/** A server of these files, in the folder of every path. */
async function serving(files: Readonly<Record<string, Uint8Array>>) {
  const asked: string[] = [];
  const send: typeof fetch = async (input, init) => {
    const name = decodeURIComponent(new URL(String(input)).pathname.split('/').at(-1)!);
    asked.push(name);
    const bytes = files[name];
    if (!bytes) return new Response('', { status: 404 });
    const range = new Headers(init?.headers).get('range') ?? '';
    const [, first, last] = /^bytes=(\d+)-(\d+)$/.exec(range) ?? [];
    const part = bytes.slice(Number(first), Number(last) + 1);
    const end = Number(first) + part.length - 1;
    const headers = {
      etag: `"${name}"`,
      'content-range': `bytes ${first}-${end}/${bytes.length}`,
    };
    return new Response(part, { status: 206, headers });
  };
  return { asked, options: { cache: openMemoryCache(), fetch: send } };
}

const index = (map: object): Uint8Array => new TextEncoder().encode(JSON.stringify(map));
const parts = async (): Promise<Record<string, Uint8Array>> => ({
  'model.safetensors.index.json': index({
    weight_map: Object.fromEntries(names.map((name) => [name, fileOf(name)])),
  }),
  'model-1-of-2.safetensors': await encoded(names.filter((_, n) => n % 2 === 0)),
  'model 2 of 2.safetensors': await encoded(names.filter((_, n) => n % 2 === 1)),
});

describe.each([
  'hf:owner/repo/folder/model.safetensors.index.json',
  'https://models.example/a/model.safetensors.index.json?key=1',
])('the index at %s', (address) => {
  test('loads the model in its files, each fetched once, under one progress, and cached', async () => {
    const { asked, options } = await serving(await parts());
    await using device = await openDevice('cpu');
    const logits: Float32Array[] = [];
    const progress: LoadModelProgress[] = [];
    for (const offline of [false, true]) {
      const before = asked.length;
      await using model = await loadModel(address, {
        device,
        hub: { ...options, offline },
        progress: (one) => progress.push(one),
      });
      if (offline) expect(asked).toHaveLength(before);
      const session = model.session();
      await session.feed([1, 2, 3]);
      logits.push(await session.logits());
    }
    await using whole = await loadModel(await encoded(names), { device });
    const session = whole.session();
    await session.feed([1, 2, 3]);
    expect(logits).toEqual(Array.from({ length: 2 }, () => logits[0]));
    expect(await session.logits()).toEqual(logits[0]);
    const entries = await options.cache.list();
    expect(entries.map(({ whole: all }) => all)).toEqual([true, true, true]);
    const sizes = entries.reduce((sum, { size }) => sum + size, 0);
    expect(progress.find(({ stage }) => stage === 'done')).toMatchObject({ totalBytes: sizes });
  });

  test('opens for its headers, and names all addresses', async () => {
    const { options } = await serving(await parts());
    const weights = await openWeights(address, { hub: options });
    expect(weights.files).toBe(2);
    expect(new Set(weights.tensors.keys())).toEqual(new Set(names));
    await weights.close();
    const addresses = await modelAddresses(address, { hub: options });
    expect(addresses).toHaveLength(3);
    expect(addresses[2]).toMatch(/\/(folder|a)\/model(%20| )2(%20| )of(%20| )2\.safetensors$/);
  });
});

test('an index that names a file elsewhere, or one that is not there, is an error', async () => {
  const address = 'hf:owner/repo/model.safetensors.index.json';
  const load = async (files: Record<string, Uint8Array>): Promise<unknown> => {
    const { options } = await serving(files);
    return await openWeights(address, { hub: options });
  };
  const name = 'model.safetensors.index.json';
  await expect(load({ [name]: index({ weight_map: { a: '../b' } }) })).rejects.toThrow(
    'which is not the name of a file beside the index',
  );
  await expect(load({ [name]: index({ weight_map: { a: 'b' } }) })).rejects.toThrow('404');
  await expect(load({ [name]: index({}) })).rejects.toThrow('names no tensor');
});
