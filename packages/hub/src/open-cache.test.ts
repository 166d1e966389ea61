import { join } from 'node:path';
import { afterEach, expect, test, vi } from 'vitest';
import { downloadNow, temporaryFolder } from '../test/cases.ts';
import { fileOf, serving, testServer } from '../test/server.ts';
import { openCache, openMemoryCache } from './open-cache.ts';

afterEach(() => void vi.unstubAllEnvs());

test('the folder is what the environment says, the nearest variable first', async () => {
  const folder = await temporaryFolder();
  for (const name of ['RWKV_CACHE', 'HF_HOME', 'XDG_CACHE_HOME']) vi.stubEnv(name, '');
  vi.stubEnv('HOME', folder);
  expect((await openCache()).place).toBe(join(folder, '.cache', 'rwkv-js'));
  vi.stubEnv('XDG_CACHE_HOME', join(folder, 'xdg'));
  expect((await openCache()).place).toBe(join(folder, 'xdg', 'rwkv-js'));
  vi.stubEnv('HF_HOME', join(folder, 'hf'));
  expect((await openCache()).place).toBe(join(folder, 'hf', 'rwkv-js'));
  vi.stubEnv('RWKV_CACHE', join(folder, 'own'));
  expect((await openCache()).place).toBe(join(folder, 'own'));
  expect((await openCache({ folder })).place).toBe(folder);
  expect((await openCache()).kind).toBe('folder');
});

test('a folder that is not there yet is an empty cache', async () => {
  const cache = await openCache({ folder: join(await temporaryFolder(), 'a', 'b') });
  expect(await cache.list()).toEqual([]);
  expect(await cache.find('hf:o/r/m')).toBeUndefined();
});

test('a folder that cannot be made is told', async () => {
  const server = await testServer(serving(fileOf(10)));
  const cache = await openCache({ folder: join(import.meta.filename, 'x') });
  await expect(downloadNow([`${server.origin}/m`], { cache })).rejects.toThrow(
    /the folder cannot be made \(ENOTDIR\); give another with RWKV_CACHE/,
  );
});

test('a cache in memory does what one on the disk does', async () => {
  const file = fileOf(3_000_000);
  const server = await testServer(serving(file));
  const cache = openMemoryCache();
  const address = `${server.origin}/m`;
  const results = await Promise.all([
    downloadNow([address], { cache }),
    downloadNow([address], { cache }),
  ]);
  expect(server.sentBytes).toBe(file.length);
  expect(results[0]).toEqual(results[1]);
  expect(await cache.list()).toMatchObject([{ address, whole: true, size: file.length }]);
  expect(cache).toMatchObject({ kind: 'memory', place: 'memory' });
  await cache.delete(address);
  expect(await cache.list()).toEqual([]);
});

test('a file that does not fit is told with the bytes that it needs', async () => {
  const file = fileOf(100_000);
  const server = await testServer((request, response) => {
    serving(file)(request, response);
  });
  server.handle = (_, response) => {
    response.writeHead(206, { etag: '"1"', 'content-range': `bytes 0-65535/${2 ** 52}` });
    response.end(file.subarray(0, 65536));
  };
  const cache = await openCache({ folder: await temporaryFolder() });
  await expect(downloadNow([`${server.origin}/m`], { cache })).rejects.toThrow(
    /4503599627370496 more bytes are needed and \d+ are free/,
  );
});
