import { createServer, type IncomingMessage, type ServerResponse } from 'node:http';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { specificationWeights } from '@rwkv-js/testing';
import { viewBytes } from '@rwkv-js/tensor';
import { beforeAll, describe, expect, onTestFinished, test } from 'vitest';
import {
  encodeSafetensors,
  loadModel,
  openCache,
  openDevice,
  openTokenizer,
  openWeights,
  type LoadModelProgress,
} from './index.ts';

let model: Uint8Array;
const vocabulary = new TextEncoder().encode(
  Array.from('abcdefghijk', (letter, at) => `${at + 1} '${letter}' 1\n`).join(''),
);

beforeAll(async () => {
  const source = specificationWeights('7');
  const tensors = await Promise.all(
    Array.from(source.tensors, async ([name, entry]) => {
      return { name, ...entry, data: viewBytes(entry.dtype, await source.read(name)) };
    }),
  );
  // Longer than what the first request brings, so that most of it comes later.
  const filler = { name: 'filler', dtype: 'f32' as const, shape: [300_000] };
  model = encodeSafetensors([...tensors, { ...filler, data: new Float32Array(300_000).fill(1.5) }]);
});

/** A hub of one repository with a model and a vocabulary; a cache of its own; both end with the test. */
async function hub(
  answer: (request: IncomingMessage, response: ServerResponse) => boolean = () => false,
) {
  const sent = { requests: 0, bytes: 0 };
  const server = createServer((request, response) => {
    sent.requests++;
    if (answer(request, response)) return;
    const name = request.url?.split('/').at(-1);
    const bytes =
      name === 'model.safetensors' ? model : name === 'vocab.txt' ? vocabulary : undefined;
    if (!bytes) return void response.writeHead(404).end();
    const [, first, last] = /^bytes=(\d+)-(\d+)$/.exec(request.headers.range ?? '') ?? [];
    const start = Number(first);
    const part = bytes.subarray(start, Number(last) + 1);
    response.writeHead(206, {
      etag: `"${name}"`,
      'content-range': `bytes ${start}-${start + part.length - 1}/${bytes.length}`,
    });
    response.end(part);
    sent.bytes += part.length;
  });
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  const where = server.address();
  if (where === null || typeof where === 'string') throw new Error('no port');
  const close = async (): Promise<void> => {
    server.closeAllConnections();
    await new Promise((resolve) => server.close(resolve));
  };
  onTestFinished(close);
  const folder = await mkdtemp(join(tmpdir(), 'rwkv-js-'));
  onTestFinished(() => rm(folder, { recursive: true, force: true, maxRetries: 5 }));
  const cache = await openCache({ folder, warn: () => {} });
  const endpoint = `http://127.0.0.1:${where.port}`;
  return { options: { cache, endpoint }, cache, endpoint, sent, close };
}

const address = 'hf:owner/repo/model.safetensors';

describe('loadModel from a hub', () => {
  test('fetches model and vocabulary once, under one progress, and never again', async () => {
    const { options, sent, cache, close } = await hub();
    await using device = await openDevice();
    const progress: LoadModelProgress[] = [];
    const load = () =>
      loadModel(address, {
        device,
        hub: options,
        vocabulary: 'hf:owner/repo/vocab.txt',
        progress: (one) => progress.push(one),
      });
    await using first = await load();
    expect(sent.bytes).toBe(model.length + vocabulary.length);
    expect(Array.from(first.tokenizer!.encode('abc'))).toEqual([1, 2, 3]);
    const loaded = progress.map(({ loadedBytes }) => loadedBytes);
    expect(loaded).toEqual([...loaded].sort((a, b) => a - b));
    const total = model.length + vocabulary.length;
    expect([...new Set(progress.map(({ totalBytes }) => totalBytes))]).toEqual([undefined, total]);
    const last = { stage: 'done', loadedBytes: total, totalBytes: total, fromCache: false };
    expect(progress.at(-1)).toEqual(last);
    expect(await cache.has(address)).toBe(true);

    await close();
    const { requests } = sent;
    progress.length = 0;
    await using second = await load();
    expect(sent.requests).toBe(requests);
    const steps = progress.map(({ stage, fromCache }) => `${stage} ${fromCache}`);
    expect([...new Set(steps)]).toEqual(['opening false', 'loading true']);
    expect(progress.at(-1)).toMatchObject({ loadedBytes: progress.at(-1)!.totalBytes });
    const logits = await Promise.all(
      [first, second].map(async (one) => {
        const session = one.session();
        await session.feed([1, 2, 3]);
        return session.logits();
      }),
    );
    expect(logits[0]).toEqual(logits[1]);
  });

  test('runs what openWeights had read of it already, and each byte comes once', async () => {
    const { options, sent, endpoint } = await hub();
    await using device = await openDevice();
    for (const input of [address, `${endpoint}/model.safetensors`]) {
      sent.bytes = 0;
      const weights = await openWeights(input, { hub: options });
      expect(weights.tensors.has('emb.weight')).toBe(true);
      expect(sent.bytes).toBeLessThan(200_000);
      await weights.close();
      await using _ = await loadModel(input, { device, hub: options });
      expect(sent.bytes).toBe(model.length);
    }
  });

  test('gives a vocabulary by its address', async () => {
    const { options, cache } = await hub();
    const tokenizer = await openTokenizer('hf:owner/repo/vocab.txt', { hub: options });
    expect(Array.from(tokenizer.encode('cab'))).toEqual([3, 1, 2]);
    expect(await cache.has('hf:owner/repo/vocab.txt')).toBe(true);
  });

  test('can be aborted, and goes on later', async () => {
    const controller = new AbortController();
    let stuck = true;
    const { options, sent } = await hub((request, response) => {
      if (!stuck || !request.headers.range || request.headers.range.startsWith('bytes=0-'))
        return false;
      controller.abort();
      return response.writable;
    });
    await using device = await openDevice();
    const { signal } = controller;
    const loading = loadModel(address, { device, hub: options, signal });
    await expect(loading).rejects.toMatchObject({ name: 'AbortError' });
    stuck = false;
    await using _ = await loadModel(address, { device, hub: options });
    expect(sent.bytes).toBe(model.length);
  });

  test('leaves no model and nothing cached when the file is wrong, with one clear error', async () => {
    await using device = await openDevice();
    const redirect = await hub((_request, response) => {
      const sum = `"${'0'.repeat(64)}"`;
      response.setHeader('x-linked-etag', sum);
      return false;
    });
    const loading = loadModel(address, { device, hub: redirect.options });
    await expect(loading).rejects.toThrow(/sha256 of what came is .* and should be 0000/);
    expect(await redirect.cache.list()).toEqual([]);
    const missing = loadModel('hf:owner/repo/other.pth', { device, hub: redirect.options });
    await expect(missing).rejects.toMatchObject({ name: 'UsageError' });
    await expect(loadModel('hf:owner/repo', { device })).rejects.toThrow(/name the file itself/);
    const offline = loadModel(address, { device, hub: { ...redirect.options, offline: true } });
    await expect(offline).rejects.toThrow(/not in the cache/);
  });
});
