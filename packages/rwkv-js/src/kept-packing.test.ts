import { Cache, openFiles, openMemoryCache, type HubFile } from '@rwkv-js/hub';
import { rwkv7Entries, weightsIn } from '@rwkv-js/language';
import { isPacked, viewBytes, type WeightSource } from '@rwkv-js/tensor';
import { randomWeights } from '@rwkv-js/testing';
import { describe, expect, test } from 'vitest';
import { encodeSafetensors, loadModel, openDevice, openWeights } from './index.ts';
import { keptPacking } from './kept-packing.ts';

const address = 'https://models.example/model.safetensors';
const original = randomWeights(
  rwkv7Entries(
    {
      layers: 2,
      width: 64,
      feedForwardWidth: 128,
      headSize: 32,
      vocabularySize: 64,
      ranks: { w: 32, a: 32, v: 32, g: 32 },
    },
    'f16',
  ),
);

/** Names in the cache of what did not come to an end. */
async function leftIn({ storage }: Cache): Promise<readonly string[]> {
  const names = await Promise.all((await storage.keys()).map((key) => storage.names(key)));
  return names.flatMap((one) => [...one.keys()]).filter((name) => /making|packed/.test(name));
}

async function bytesOf(
  source: WeightSource,
  more: Parameters<typeof encodeSafetensors>[0] = [],
): Promise<Uint8Array> {
  const tensors = Array.from(source.tensors, async ([name, entry]) => {
    if (isPacked(entry.dtype)) throw new Error('plain tensors are written');
    return { name, ...entry, data: viewBytes(entry.dtype, await source.read(name)) };
  });
  return encodeSafetensors([...(await Promise.all(tensors)), ...more]);
}

/** Answers every request out of `bytes`. */
function serving(bytes: Uint8Array): typeof fetch {
  return async (_, init) => {
    const range = new Headers(init?.headers).get('range') ?? '';
    const [, first, last] = /^bytes=(\d+)-(\d+)$/.exec(range) ?? [];
    const part = bytes.slice(Number(first), Number(last) + 1);
    const end = Number(first) + part.length - 1;
    const headers = { etag: '"1"', 'content-range': `bytes ${first}-${end}/${bytes.length}` };
    return new Response(part, { status: 206, headers });
  };
}

const warnings: string[] = [];
const warn = (message: string): void => void warnings.push(message);

/** Packs what is behind the address, reads all of it, and gives it with the tensors that were packed now. */
async function packed(file: HubFile, format: 'q8' | 'q4' = 'q4') {
  const source = await openWeights(file);
  const now: string[] = [];
  const weights = weightsIn(format, source);
  const counted: WeightSource = {
    ...weights,
    read(name, options) {
      if (isPacked(weights.tensors.get(name)!.dtype)) now.push(name);
      return weights.read(name, options);
    },
  };
  const kept = await keptPacking(counted, source, { file, format, warn });
  const read = new Map<string, Uint8Array>();
  for (const name of kept.weights.tensors.keys()) {
    if (name !== 'head.weight') read.set(name, await kept.weights.read(name));
  }
  await file.complete();
  await kept.keep();
  read.set('head.weight', await kept.weights.read('head.weight'));
  await kept.weights.close();
  return { read, now };
}

async function opened(cache: Cache, bytes: Uint8Array): Promise<HubFile> {
  const [file] = await openFiles([address], { cache, fetch: serving(bytes) });
  return file!;
}

describe('the packing of a fetched model', () => {
  test('is done once, and read from the cache from then on', async () => {
    const cache = openMemoryCache();
    const bytes = await bytesOf(original);
    const first = await packed(await opened(cache, bytes));
    expect(first.now).toContain('blocks.1.ffn.value.weight');
    const second = await packed(await opened(cache, bytes));
    expect(second.now).toEqual([]);
    expect(second.read).toEqual(first.read);
    const [entry] = await cache.list();
    expect(entry!.storedBytes).toBeGreaterThan(entry!.size * 1.25);
  });

  test('is done for each format, and for each content of the file', async () => {
    const cache = openMemoryCache();
    const bytes = await bytesOf(original);
    const four = await packed(await opened(cache, bytes), 'q4');
    const eight = await packed(await opened(cache, bytes), 'q8');
    expect(eight.now).toEqual(four.now);
    expect((await packed(await opened(cache, bytes), 'q4')).now).toEqual([]);
    await cache.delete(address);
    const other = await bytesOf(randomWeights(original.tensors, 5));
    const changed = await packed(await opened(cache, other), 'q4');
    expect(changed.now).toEqual(four.now);
    expect(changed.read).not.toEqual(four.read);
  });

  test('goes on with a warning where it cannot be kept', async () => {
    const file = await opened(openMemoryCache(), await bytesOf(original));
    warnings.length = 0;
    const full: HubFile = {
      ...file,
      derive: async () => {
        throw new Error('there is no room');
      },
    };
    const { read } = await packed(full);
    expect(read.size).toBe(original.tensors.size);
    expect(warnings).toEqual([
      `Keeping the q4 weights of ${address} in the cache: there is no room; ` +
        'they are packed again at the next load.',
    ]);
  });

  test('is of no weight where a tensor that the model does not take cannot be packed', async () => {
    const cache = openMemoryCache();
    const unused = { name: 'other.ffn.key.weight', dtype: 'f32', shape: [32, 32] } as const;
    const bytes = await bytesOf(original, [{ ...unused, data: new Float32Array(1024).fill(NaN) }]);
    const hub = { cache, fetch: serving(bytes), warn };
    await using device = await openDevice('cpu');
    warnings.length = 0;
    await using model = await loadModel(address, { device, format: 'q4', hub });
    const session = model.session();
    await session.feed([1]);
    expect((await session.logits()).length).toBe(64);
    expect(warnings).toEqual([
      expect.stringMatching(/^Keeping the q4 weights of .* is not a finite number.* packed again/),
    ]);
    const [entry] = await cache.list();
    expect(entry).toMatchObject({ whole: true });
    expect(await leftIn(cache)).toEqual([]);
  });

  test('is not begun where it would take the room of the file', async () => {
    const bytes = await bytesOf(original);
    const storage = openMemoryCache().storage;
    const cache = new Cache({ ...storage, free: async () => bytes.length }, warn);
    warnings.length = 0;
    const { read } = await packed(await opened(cache, bytes));
    expect(read.size).toBe(original.tensors.size);
    expect(warnings).toEqual([expect.stringMatching(/^Keeping .* more bytes are needed and/)]);
    expect(await cache.list()).toMatchObject([{ whole: true }]);
  });

  test('in two formats at once keeps both', async () => {
    const cache = openMemoryCache();
    const bytes = await bytesOf(original);
    await (await opened(cache, bytes)).complete();
    warnings.length = 0;
    const formats = ['q4', 'q8', 'q4'] as const;
    await Promise.all(formats.map(async (format) => packed(await opened(cache, bytes), format)));
    expect(warnings).toEqual([]);
    for (const format of formats) {
      expect((await packed(await opened(cache, bytes), format)).now).toEqual([]);
    }
  });

  test('ends with the signal, and leaves nothing', async () => {
    const cache = openMemoryCache();
    const file = await opened(cache, await bytesOf(original));
    await file.complete();
    const source = await openWeights(file);
    const weights = weightsIn('q4', source);
    const controller = new AbortController();
    const slow: WeightSource = {
      ...weights,
      async read(name, options) {
        controller.abort();
        options?.signal?.throwIfAborted();
        return weights.read(name, options);
      },
    };
    warnings.length = 0;
    const kept = await keptPacking(slow, source, { file, format: 'q4', warn });
    await expect(kept.keep(controller.signal)).rejects.toMatchObject({ name: 'AbortError' });
    expect(warnings).toEqual([]);
    expect(await leftIn(cache)).toEqual([]);
  });

  test('that loses bytes while it is read is an error', async () => {
    const cache = openMemoryCache();
    const bytes = await bytesOf(original);
    await packed(await opened(cache, bytes));
    const file = await opened(cache, bytes);
    const cut: HubFile = {
      ...file,
      async derived(layout, version) {
        const known = (await file.derived(layout, version))!;
        return {
          ...known,
          size: known.size,
          read: async () => new Uint8Array(3),
          close: async () => {},
        };
      },
    };
    await expect(packed(cut)).rejects.toThrow(/were kept in the cache and 3 are there/);
  });

  test('gives loadModel the same model', async () => {
    const cache = openMemoryCache();
    const fetch = serving(await bytesOf(original));
    await using device = await openDevice('cpu');
    const logits: Float32Array[] = [];
    for (const offline of [false, true]) {
      await using model = await loadModel(address, {
        device,
        format: 'q4',
        hub: { cache, fetch, offline },
      });
      const session = model.session();
      await session.feed([1, 2, 3]);
      logits.push(await session.logits());
    }
    expect(logits[1]).toEqual(logits[0]);
  });
});
