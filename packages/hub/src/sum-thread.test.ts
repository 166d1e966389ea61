import { createHash } from 'node:crypto';
import { mkdtemp, open, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { sumHere, type RunningSum } from './running-sum.ts';
import { sumOnThread } from './sum-thread.ts';

const bytes = Uint8Array.from({ length: 3_000_000 }, (_, i) => (i * 7919) >> 8);
const expected = createHash('sha256').update(bytes).digest('hex');
const { signal } = new AbortController();
let folder: string;
let path: string;

beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), 'rwkv-js-'));
  path = join(folder, 'data');
  await writeFile(path, bytes);
});
afterAll(async () => rm(folder, { recursive: true }));

async function sumOfAll(sum: RunningSum): Promise<string> {
  try {
    for (const end of [1, 700_000, 700_000, bytes.length]) await sum.add(end, signal);
    return await sum.digest();
  } finally {
    await sum.close();
    await sum.close();
  }
}

describe('the sum of data that is still being written', () => {
  test('is the same on a thread of its own and here', async () => {
    expect(await sumOfAll(await sumOnThread(path))).toBe(expected);
    const read = async (position: number, length: number): Promise<Uint8Array<ArrayBuffer>> =>
      bytes.slice(position, position + length);
    expect(await sumOfAll(await sumHere(read))).toBe(expected);
  });

  test('takes what is written after it began', async () => {
    const growing = join(folder, 'growing');
    const file = await open(growing, 'w');
    const sum = await sumOnThread(growing);
    try {
      await file.write(bytes, 0, 1_000_000, 0);
      await sum.add(1_000_000, signal);
      await file.write(bytes, 1_000_000, 2_000_000, 1_000_000);
      await sum.add(3_000_000, signal);
      expect(await sum.digest()).toBe(expected);
    } finally {
      await sum.close();
      await file.close();
    }
  });

  test('says when the file is shorter than it should be, or cannot be read, or the thread is closed', async () => {
    const short = await sumOnThread(path);
    await expect(short.add(bytes.length + 1, signal)).rejects.toThrow(
      `the file has ${bytes.length} bytes of ${bytes.length + 1}`,
    );
    await short.close();
    await expect(short.add(1, signal)).rejects.toThrow('closed');
    const absent = await sumOnThread(join(folder, 'absent'));
    await expect(absent.add(1, signal)).rejects.toThrow('ENOENT');
    await expect(absent.digest()).rejects.toThrow('ENOENT');
    await absent.close();
  });
});
