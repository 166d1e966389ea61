import { UsageError, type WeightEntry, type WeightSource } from '@rwkv-js/tensor';
import { mkdtemp, readdir, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { openWeights } from './open-weights.ts';
import { writeWeights } from './write-weights.ts';

let folder = '';
let path = '';
beforeEach(async () => {
  folder = await mkdtemp(join(tmpdir(), 'rwkv-write-'));
  path = join(folder, 'model.safetensors');
});
afterEach(() => rm(folder, { recursive: true }));

/** A source of five tensors that counts what is read of it. */
function counting(fill = 1): { source: WeightSource; reads: string[] } {
  const reads: string[] = [];
  const entry: WeightEntry = { dtype: 'f32', shape: [100] };
  const source: WeightSource = {
    label: 'numbers',
    tensors: new Map(['a', 'b', 'c', 'd', 'e'].map((name) => [name, entry])),
    metadata: new Map([['from', 'test']]),
    async read(name) {
      reads.push(name);
      return new Uint8Array(new Float32Array(100).fill(fill * name.charCodeAt(0)).buffer);
    },
    close: async () => undefined,
  };
  return { source, reads };
}

/** Writes until `stopAfter` tensors are done, then aborts. */
async function interrupted(stopAfter: number, origin: string, fill = 1): Promise<void> {
  const stop = new AbortController();
  let done = 0;
  const writing = writeWeights(path, counting(fill).source, {
    origin,
    signal: stop.signal,
    progress: () => {
      if (done++ === stopAfter) stop.abort();
    },
  });
  await expect(writing).rejects.toThrow('aborted');
}

describe('writeWeights', () => {
  test('writes every tensor, the metadata, and nothing beside the file', async () => {
    const seen: number[] = [];
    await writeWeights(path, counting().source, {
      metadata: new Map([['more', 'text']]),
      origin: 'numbers',
      progress: ({ writtenBytes, totalBytes }) => seen.push(writtenBytes / totalBytes),
    });
    expect(await readdir(folder)).toEqual(['model.safetensors']);
    expect(seen).toEqual(seen.toSorted((a, b) => a - b));
    expect(seen.at(-1)).toBe(1);
    const written = await openWeights(path);
    expect(Object.fromEntries(written.metadata)).toEqual({ from: 'test', more: 'text' });
    expect(new Float32Array((await written.read('e')).buffer)[99]).toBe(101);
    await written.close();
  });

  test('goes on where an aborted run of the same origin stopped, with the same bytes', async () => {
    await writeWeights(path, counting().source);
    const expected = await readFile(path);
    await rm(path);
    await interrupted(3, 'numbers 1');
    expect((await readdir(folder)).every((name) => name.endsWith('.partial'))).toBe(true);
    const { source, reads } = counting();
    const resumed: number[] = [];
    await writeWeights(path, source, {
      origin: 'numbers 1',
      progress: ({ resumedBytes }) => resumed.push(resumedBytes),
    });
    // The last one that seemed whole is written again.
    expect(reads).toEqual(['c', 'd', 'e']);
    expect(resumed[0]).toBeGreaterThan(800);
    expect(await readFile(path)).toEqual(expected);
    expect(await readdir(folder)).toEqual(['model.safetensors']);
  });

  test('takes nothing from a run of another origin', async () => {
    await interrupted(3, 'numbers 1');
    const { source, reads } = counting(2);
    await writeWeights(path, source, { origin: 'numbers 2' });
    expect(reads).toHaveLength(5);
    const written = await openWeights(path);
    expect(new Float32Array((await written.read('a')).buffer)[0]).toBe(2 * 97);
    await written.close();
  });

  test('takes nothing from a partial file of another header, or a torn one', async () => {
    await interrupted(3, 'numbers 1');
    const [partial] = await readdir(folder);
    await writeFile(join(folder, partial!), 'torn');
    const { source, reads } = counting();
    await writeWeights(path, source, { origin: 'numbers 1' });
    expect(reads).toHaveLength(5);
    expect((await openWeights(path)).tensors.size).toBe(5);
  });

  test('leaves nothing behind when the source fails, and the old file as it was', async () => {
    await writeFile(path, 'old');
    const { source } = counting();
    const broken = { ...source, read: async () => new Uint8Array(3) };
    const writing = writeWeights(path, broken, { origin: 'numbers' });
    await expect(writing).rejects.toThrow('tensor "a" gave 3 bytes and should have 400');
    expect(await readdir(folder)).toEqual(['model.safetensors']);
    expect(await readFile(path, 'utf8')).toBe('old');
  });

  test('a folder that is not there is a UsageError before anything is read', async () => {
    const { source, reads } = counting();
    const nowhere = join(folder, 'none', 'model.safetensors');
    await expect(writeWeights(nowhere, source, { origin: 'x' })).rejects.toThrow(UsageError);
    expect(reads).toEqual([]);
  });
});
