import { execFileSync } from 'node:child_process';
import { hostname } from 'node:os';
import { join } from 'node:path';
import { readdir, writeFile } from 'node:fs/promises';
import { describe, expect, test } from 'vitest';
import { temporaryFolder } from '../test/cases.ts';
import { fileOf } from '../test/server.ts';
import { keyOf, parseAddress } from './address.ts';
import { makeDerived, openDerived, removeUnfinished } from './derived-data.ts';
import { folderStorage } from './folder-storage.ts';
import { memoryStorage } from './memory-storage.ts';
import type { Storage } from './storage.ts';

const address = parseAddress('https://models.example/model.pth');
const key = await keyOf(address);
const bytes = fileOf(100_000);
const sha256 = '5'.repeat(64);

const make = (storage: Storage, layout = 'q4') =>
  makeDerived(storage, address, {
    sum: async () => sha256,
    layout,
    version: 1,
    needed: bytes.length,
  });
const found = (storage: Storage, layout = 'q4') =>
  openDerived(storage, key, { sha256, layout, version: 1 });

async function madeOf(storage: Storage, layout?: string): Promise<Uint8Array | undefined> {
  const data = await found(storage, layout);
  const all = await data?.read(0, bytes.length);
  await data?.close();
  return all;
}

/** A storage whose data keeps its names, as in a page. */
const keepingNames = (storage: Storage): Storage => ({
  ...storage,
  nameData: async (_, from) => from,
});

describe.each([
  ['a folder', async () => folderStorage(await temporaryFolder())],
  ['memory', async () => memoryStorage()],
  ['a storage that keeps names', async () => keepingNames(memoryStorage())],
])('data made from a file in %s', (_, open) => {
  test('is found when it is whole, and not before', async () => {
    const storage = await open();
    const making = await make(storage);
    await making.write(0, bytes);
    expect(await madeOf(storage)).toBeUndefined();
    await making.finish();
    expect(await madeOf(storage)).toEqual(bytes);
    await making.discard();
    expect(await madeOf(storage)).toEqual(bytes);
  });

  test('is left alone by others who make theirs, the same or another', async () => {
    const storage = await open();
    const makings = [await make(storage), await make(storage, 'q8'), await make(storage)];
    for (const making of makings) await making.write(0, bytes);
    for (const making of makings) {
      await making.finish();
      await removeUnfinished(storage, key);
    }
    expect(await madeOf(storage, 'q4')).toEqual(bytes);
    expect(await madeOf(storage, 'q8')).toEqual(bytes);
    const data = [...(await storage.names(key)).values()].filter((size) => size >= bytes.length);
    expect(data).toHaveLength(2);
  });

  test('leaves nothing when it is discarded, or its file is not whole', async () => {
    const storage = await open();
    const discarded = await make(storage);
    await discarded.write(0, bytes);
    await discarded.discard();
    const failing = await makeDerived(storage, address, {
      sum: async () => Promise.reject(new Error('the file was changed')),
      layout: 'q4',
      version: 1,
      needed: 1,
    });
    await failing.write(0, bytes);
    await expect(failing.finish()).rejects.toThrow('the file was changed');
    expect([...(await storage.names(key)).keys()]).toEqual([]);
  });

  test('leaves nothing when the last of it cannot be written', async () => {
    const storage = await open();
    const full: Storage = { ...storage, writeText: () => Promise.reject(new Error('ENOSPC')) };
    const making = await make(full);
    await making.write(0, bytes);
    await expect(making.finish()).rejects.toThrow('ENOSPC');
    expect([...(await storage.names(key)).keys()]).toEqual([]);
  });

  test('is not begun without room for it', async () => {
    const storage = { ...(await open()), free: async () => bytes.length - 1 };
    await expect(make(storage)).rejects.toThrow(/100000 more bytes are needed and 99999 are free/);
    expect([...(await storage.names(key)).keys()]).toEqual([]);
  });
});

test('what a process that is gone left is deleted, and what its lock alone left', async () => {
  const folder = await temporaryFolder();
  const storage = await folderStorage(folder);
  const gone = Number(execFileSync(process.execPath, ['-p', 'process.pid'], { encoding: 'utf8' }));
  const lock = JSON.stringify({ process: gone, machine: hostname(), id: 'x' });
  const making = await make(storage);
  for (const name of ['making-1', 'making-2.lock', 'making-1.lock']) {
    await writeFile(join(folder, key, name), name.endsWith('lock') ? lock : bytes);
  }
  await making.write(0, bytes);
  await making.finish();
  const prefix = sha256.slice(0, 12);
  const left = await readdir(join(folder, key));
  expect(left.sort()).toEqual([`${prefix}-packed-q4-v1`, `${prefix}-packed-q4-v1.json`]);
});

test('data that is deleted in memory while it is made is told', async () => {
  const storage = memoryStorage();
  const making = await make(storage);
  await making.write(0, bytes);
  await storage.remove(key);
  await expect(making.finish()).rejects.toThrow('it was deleted meanwhile');
  expect([...(await storage.names(key)).keys()]).toEqual([]);
});
