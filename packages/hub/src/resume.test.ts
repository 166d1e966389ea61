import { spawn } from 'node:child_process';
import { readFile, readdir, writeFile, utimes } from 'node:fs/promises';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { FormatError, UsageError } from '@rwkv-js/tensor';
import { describe, expect, onTestFinished, test, vi } from 'vitest';
import {
  downloadNow,
  expectCached,
  expectNotCached,
  temporaryCache,
  temporaryFolder,
} from '../test/cases.ts';
import { fileOf, rangeOf, serving, sumOf, testServer, type Handler } from '../test/server.ts';
import { openCache } from './open-cache.ts';
import { openFiles } from './open-files.ts';

const file = fileOf(5_000_000);
const tag = { etag: '"1"' };

/** Sends what is asked for up to a byte of the file, and then nothing more. */
function upTo(last: number, stuck: () => void): Handler {
  return (request, response) => {
    const { start, end } = rangeOf(request)!;
    const whole = Math.min(end, file.length);
    response.writeHead(206, {
      ...tag,
      'content-range': `bytes ${start}-${whole - 1}/${file.length}`,
      'content-length': whole - start,
    });
    if (whole <= last) return void response.end(file.subarray(start, whole));
    response.write(file.subarray(start, Math.max(start, last)), stuck);
  };
}

describe('aborting', () => {
  test('stops while the server is silent, and what came is not fetched again', async () => {
    const controller = new AbortController();
    const server = await testServer(upTo(3_000_000, () => {}));
    const cache = await temporaryCache();
    const address = `${server.origin}/m`;
    const fetching = downloadNow([address], {
      cache,
      signal: controller.signal,
      progress({ loadedBytes }) {
        if (loadedBytes >= 2_000_000) controller.abort();
      },
    });
    await expect(fetching).rejects.toMatchObject({ name: 'AbortError' });
    await expectNotCached(cache);
    const came = server.sentBytes;
    server.handle = serving(file, tag);
    await downloadNow([address], { cache });
    await expectCached(cache, address, file);
    expect(server.sentBytes - came).toBeLessThanOrEqual(3_000_000);
  });

  test('before anything is asked asks nothing', async () => {
    const server = await testServer();
    const cache = await temporaryCache();
    const fetching = downloadNow([`${server.origin}/m`], { cache, signal: AbortSignal.abort() });
    await expect(fetching).rejects.toMatchObject({ name: 'AbortError' });
    expect(server.seen).toEqual([]);
  });

  test('ends the wait for an answer and the wait between attempts', async () => {
    const cache = await temporaryCache();
    const handlers: Handler[] = [() => {}, (_, response) => void response.writeHead(503).end()];
    for (const handle of handlers) {
      const controller = new AbortController();
      const server = await testServer((request, response) => {
        setTimeout(() => controller.abort(), 20);
        handle(request, response);
      });
      const { download } = await import('./open-files.ts');
      const fetching = download([`${server.origin}/m`], { cache, signal: controller.signal });
      await expect(fetching).rejects.toMatchObject({ name: 'AbortError' });
    }
  });
});

describe('what an earlier try left', () => {
  async function left() {
    const controller = new AbortController();
    const server = await testServer(upTo(3_000_000, () => {}));
    const cache = await temporaryCache();
    const address = `${server.origin}/m`;
    const fetching = downloadNow([address], {
      cache,
      signal: controller.signal,
      progress: ({ loadedBytes }) => loadedBytes >= 2_000_000 && controller.abort(),
    });
    await expect(fetching).rejects.toMatchObject({ name: 'AbortError' });
    const [key = ''] = await readdir(cache.place);
    const names = await readdir(join(cache.place, key));
    const part = names.find((name) => name.startsWith('part-'))!;
    server.handle = serving(file, tag);
    const path = (name: string): string => join(cache.place, key, name);
    // A slow disk may still be writing what the caller no longer waits for.
    await vi.waitFor(
      async () => expect(await readFile(path('part.json'), 'utf8')).toContain('safe'),
      {
        timeout: 20_000,
      },
    );
    return { server, cache, address, part: path(part), journal: path('part.json') };
  }

  test('of another version is thrown away', async () => {
    const { server, cache, address } = await left();
    const other = fileOf(6_000_000, 7);
    server.handle = serving(other);
    await downloadNow([address], { cache });
    await expectCached(cache, address, other);
  });

  test('that is longer than the file is now is thrown away', async () => {
    const { server, cache, address } = await left();
    const other = fileOf(100_000, 7);
    server.handle = serving(other);
    await downloadNow([address], { cache });
    await expectCached(cache, address, other);
  });

  test.each([
    ['cut', (bytes: Buffer) => bytes.subarray(0, 1000)],
    ['gone', () => Buffer.alloc(0)],
  ])('but whose data is %s is thrown away', async (_, change) => {
    const { cache, address, part } = await left();
    await writeFile(part, change(await readFile(part)));
    await downloadNow([address], { cache });
    await expectCached(cache, address, file);
  });

  test.each([
    '',
    '{',
    '{"have":[[0,9e9]]}',
    'null',
    '{"size":5000000,"address":"x","have":[[5,1]]}',
  ])('with the journal %j is thrown away', async (text) => {
    const { cache, address, journal } = await left();
    await writeFile(journal, text);
    await downloadNow([address], { cache });
    await expectCached(cache, address, file);
  });

  test('before a power cut is thrown away where no sum would tell, unless it was synced', async () => {
    const { server, cache, address, journal } = await left();
    const text = await readFile(journal, 'utf8');
    expect(JSON.parse(text)).toMatchObject({ boot: 'safe' });
    await writeFile(journal, text.replace('"safe"', '"of another time"'));
    const before = server.sentBytes;
    await downloadNow([address], { cache });
    expect(server.sentBytes - before).toBe(file.length);
    await expectCached(cache, address, file);
  });

  test('whose data was damaged is found out where the sum is known', async () => {
    const { cache, address, part } = await left();
    const bytes = await readFile(part);
    bytes[1_000_000]! ^= 1;
    await writeFile(part, bytes);
    await downloadNow([{ address, sha256: sumOf(file) }], { cache });
    await expectCached(cache, address, file);
  });
});

describe('a cached file', () => {
  async function cached() {
    const warnings: string[] = [];
    const server = await testServer(serving(file));
    const cache = await temporaryCache((message) => void warnings.push(message));
    const address = `${server.origin}/m`;
    const [complete] = await downloadNow([address], { cache });
    return { server, cache, address, warnings, path: complete!.path! };
  }

  test.each([
    ['changed in one bit', (bytes: Buffer) => ((bytes[7]! ^= 1), bytes)],
    ['cut short', (bytes: Buffer) => bytes.subarray(0, 1000)],
    ['emptied', () => Buffer.alloc(0)],
  ])('that was %s is found and fetched again, with a warning', async (_, change) => {
    const { server, cache, address, warnings, path } = await cached();
    await writeFile(path, change(await readFile(path)));
    const before = server.sentBytes;
    await downloadNow([address], { cache });
    await expectCached(cache, address, file);
    expect(server.sentBytes - before).toBe(file.length);
    expect(warnings).toEqual([expect.stringMatching(/is damaged; it is fetched again/)]);
  });

  test('that was only touched is not fetched again', async () => {
    const { server, cache, address, path } = await cached();
    await utimes(path, 1, 1);
    const count = server.seen.length;
    await downloadNow([address], { cache });
    expect(server.seen).toHaveLength(count);
  });

  test('from before a power cut is read through once', async () => {
    const { server, cache, address, path } = await cached();
    const entry = join(path, '..', 'entry.json');
    const { boot } = JSON.parse(await readFile(entry, 'utf8')) as { boot: string };
    await writeFile(entry, (await readFile(entry, 'utf8')).replace(boot, 'of another time'));
    const count = server.seen.length;
    await downloadNow([address], { cache });
    expect(server.seen).toHaveLength(count);
    expect(JSON.parse(await readFile(entry, 'utf8'))).toMatchObject({ boot: 'safe' });
  });

  test('is listed, measured, found and deleted', async () => {
    const { cache, address, path } = await cached();
    expect(await cache.list()).toEqual([
      {
        address,
        whole: true,
        size: file.length,
        storedBytes: expect.closeTo(file.length, -4),
        sha256: sumOf(file),
        path,
      },
    ]);
    expect(await cache.has(address)).toBe(true);
    expect(await cache.delete(address)).toBeGreaterThanOrEqual(file.length);
    expect(await cache.has(address)).toBe(false);
    expect(await cache.list()).toEqual([]);
    await expect(cache.delete(address)).rejects.toThrow(UsageError);
    await expect(cache.delete(address)).rejects.toThrow(/is not in the cache/);
  });

  test('that had a query is found and deleted without it', async () => {
    const { server, cache, address } = await cached();
    await cache.delete(address);
    await downloadNow([`${server.origin}/m?key=1`], { cache });
    await downloadNow([`${server.origin}/m?key=2`], { cache });
    expect((await cache.list()).map((entry) => entry.address)).toEqual([address, address]);
    expect(await cache.has(address)).toBe(true);
    expect(await cache.has(`${address}?key=3`)).toBe(false);
    await cache.delete(address);
    expect(await cache.list()).toEqual([]);
  });

  test('cannot be deleted while it is fetched', async () => {
    const { server, cache } = await cached();
    const [open] = await openFiles([`${server.origin}/other`], { cache });
    await expect(cache.delete(`${server.origin}/other`)).rejects.toThrow(/is in use/);
    await open!.close();
    await cache.delete(`${server.origin}/other`);
  });
});

describe('reading while it comes', () => {
  test('fetches what is asked for, first, and each byte once', async () => {
    const server = await testServer(serving(file));
    const cache = await temporaryCache();
    const address = `${server.origin}/m`;
    const [open] = await openFiles([address], { cache });
    expect(open).toMatchObject({ size: file.length, fromCache: false, label: address });
    expect(await open!.read(4_999_000, 1000)).toEqual(file.slice(4_999_000));
    expect(await open!.read(4_998_000, 10)).toEqual(file.slice(4_998_000, 4_998_010));
    expect(server.seen.map(({ range }) => range)).toEqual([
      'bytes=0-65535',
      'bytes=4980736-4999999',
    ]);
    const complete = open!.complete();
    const middle = await open!.read(2_000_000, 2_000_000);
    expect(Buffer.compare(middle, file.subarray(2_000_000, 4_000_000))).toBe(0);
    expect(await complete).toMatchObject({ sha256: sumOf(file), size: file.length });
    expect(await open!.read(10, 10)).toEqual(file.slice(10, 20));
    await open!.close();
    expect(server.sentBytes).toBe(file.length);
    await expectCached(cache, address, file);
    await expect(open!.read(0, 1)).rejects.toThrow(UsageError);
  });

  test('goes on where reading a header ended', async () => {
    const server = await testServer(serving(file));
    const cache = await temporaryCache();
    const address = `${server.origin}/m`;
    const [first] = await openFiles([address], { cache });
    await first!.read(3_000_000, 100);
    await first!.close();
    await first!.close();
    await downloadNow([address], { cache });
    await expectCached(cache, address, file);
    // The first request of the second time brings bytes that are missing.
    expect(server.sentBytes).toBe(file.length);
  });

  test('from the cache asks nothing, and refuses what is not in the file', async () => {
    const server = await testServer(serving(file));
    const cache = await temporaryCache();
    await downloadNow([`${server.origin}/m`], { cache });
    await server.close();
    const [open] = await openFiles([`${server.origin}/m`], { cache });
    expect(open!.fromCache).toBe(true);
    expect(await open!.read(1_000_000, 5)).toEqual(file.slice(1_000_000, 1_000_005));
    for (const [at, length] of [
      [-1, 1],
      [file.length, 1],
      [0.5, 1],
      [0, NaN],
    ] as const) {
      await expect(open!.read(at, length)).rejects.toThrow(FormatError);
    }
    await open!.close();
    await expect(open!.read(0, 1)).rejects.toThrow(/has been closed/);
  });

  test('can be aborted alone, and by closing', async () => {
    const server = await testServer(upTo(1_000_000, () => {}));
    const cache = await temporaryCache();
    const [open] = await openFiles([`${server.origin}/m`], { cache });
    const controller = new AbortController();
    const aborted = open!.read(2_000_000, 10, { signal: controller.signal });
    const waiting = open!.read(2_000_000, 10);
    controller.abort();
    await expect(aborted).rejects.toMatchObject({ name: 'AbortError' });
    const closing = open!.close();
    await expect(waiting).rejects.toThrow(/has been closed/);
    await closing;
  });
});

describe('several at once', () => {
  test('in one process fetch a file once', async () => {
    const server = await testServer(serving(file));
    const cache = await temporaryCache();
    const address = `${server.origin}/m`;
    const stages = new Set<string>();
    const again = await openCache({ folder: cache.place });
    await Promise.all([
      downloadNow([address], { cache, progress: ({ stage }) => stages.add(stage) }),
      downloadNow([address], { cache: again, progress: ({ stage }) => stages.add(stage) }),
    ]);
    expect(server.sentBytes).toBe(file.length);
    expect(stages).toContain('waiting');
    await expectCached(cache, address, file);
  });

  const program = fileURLToPath(new URL('../test/download-process.ts', import.meta.url));

  function processFetching(address: string, folder: string) {
    const options = ['--import', 'tsx', '--conditions=development', program, address, folder];
    const child = spawn(process.execPath, options, { stdio: ['ignore', 'pipe', 'inherit'] });
    onTestFinished(() => void child.kill('SIGKILL'));
    let output = '';
    child.stdout.setEncoding('utf8').on('data', (text: string) => (output += text));
    const ended = new Promise<string>((resolve) => child.on('close', () => resolve(output)));
    return { child, ended };
  }

  test('in several processes fetch a file once', async () => {
    const server = await testServer(serving(file));
    const folder = await temporaryFolder();
    const address = `${server.origin}/m`;
    const both = [processFetching(address, folder), processFetching(address, folder)];
    for (const { ended } of both) expect(await ended).toContain(`sha256 ${sumOf(file)}`);
    expect(server.sentBytes).toBe(file.length);
    await expectCached(await openCache({ folder }), address, file);
  }, 60_000);

  test('a process that was killed leaves a part, and its lock is taken over', async () => {
    let stuck = (): void => {};
    const isStuck = new Promise<void>((resolve) => (stuck = resolve));
    const server = await testServer(upTo(3_000_000, () => stuck()));
    const folder = await temporaryFolder();
    const address = `${server.origin}/m`;
    const { child, ended } = processFetching(address, folder);
    await isStuck;
    child.kill('SIGKILL');
    await ended;
    server.handle = serving(file, tag);
    const cache = await openCache({ folder });
    await downloadNow([address], { cache });
    await expectCached(cache, address, file);
  }, 60_000);
});
