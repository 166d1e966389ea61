import { FormatError, UsageError } from '@rwkv-js/tensor';
import { appendFile, mkdtemp, rm, truncate, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, expect, test } from 'vitest';
import { pieceBytes } from './byte-source.ts';
import { pathSource } from './path-source.ts';

let folder = '';
let path = '';
beforeEach(async () => {
  folder = await mkdtemp(join(tmpdir(), 'rwkv-weights-'));
  path = join(folder, 'file');
  await writeFile(
    path,
    Uint8Array.from({ length: 100 }, (_, i) => i),
  );
});
afterEach(() => rm(folder, { recursive: true }));

test('reads ranges, the empty one and the whole', async () => {
  const source = await pathSource(path);
  expect(source.size).toBe(100);
  expect([...(await source.read(10, 3))]).toEqual([10, 11, 12]);
  expect(await source.read(100, 0)).toHaveLength(0);
  expect(await source.read(0, 100)).toHaveLength(100);
  await source.close();
});

test.each([
  [0, 101],
  [100, 1],
  [-1, 2],
  [0, -1],
  [0.5, 1],
  [Number.MAX_SAFE_INTEGER, Number.MAX_SAFE_INTEGER],
  [NaN, 1],
])('refuses the range at %d of %d bytes', async (offset, length) => {
  const source = await pathSource(path);
  await expect(source.read(offset, length)).rejects.toThrow(FormatError);
  await source.close();
});

test('a read longer than one piece is put together', async () => {
  await truncate(path, pieceBytes + 10);
  await appendFile(path, 'end');
  const source = await pathSource(path);
  const bytes = await source.read(1, pieceBytes + 12);
  expect(bytes.subarray(0, 3)).toEqual(Uint8Array.of(1, 2, 3));
  expect(new TextDecoder().decode(bytes.subarray(-3))).toBe('end');
  await source.close();
});

test('a file that shrinks or grows while it is open is a FormatError', async () => {
  const source = await pathSource(path);
  await appendFile(path, 'more');
  await expect(source.read(0, 10)).rejects.toThrow(/had 100 bytes.*has 104 now/);
  await truncate(path, 50);
  await expect(source.read(40, 20)).rejects.toThrow(/20 bytes at 40 were asked for and 10 came/);
  await expect(source.read(40, 20)).rejects.toThrow(FormatError);
  await source.close();
});

test('closing while it reads ends the read with an error of the family', async () => {
  const source = await pathSource(path);
  const reading = source.read(0, 100).catch((error: unknown) => error);
  await source.close();
  const outcome = await reading;
  expect(outcome instanceof Uint8Array || outcome instanceof UsageError).toBe(true);
});
