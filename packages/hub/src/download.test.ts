import { FormatError, UsageError } from '@rwkv-js/tensor';
import { globalAgent } from 'node:http';
import { brotliCompressSync, deflateSync, gzipSync } from 'node:zlib';
import { describe, expect, onTestFinished, test, vi } from 'vitest';
import {
  downloadNow,
  expectCached,
  expectNotCached,
  temporaryCache,
  type Delays,
} from '../test/cases.ts';
import {
  fail,
  fileOf,
  hubHandler,
  ignoringRanges,
  rangeOf,
  serving,
  sumOf,
  testServer,
  type Handler,
} from '../test/server.ts';
import type { HubProgress } from './progress.ts';

/** Longer than one request asks for. */
const file = fileOf(9_000_000);
const small = fileOf(300_000, 2);

type ErrorClass = typeof FormatError | typeof UsageError;

/** Fetches a small file, which must fail, and checks that nothing of it counts as cached. */
async function refused(handle: Handler, kind: ErrorClass, message: RegExp): Promise<void> {
  const server = await testServer(handle);
  const cache = await temporaryCache();
  const fetching = downloadNow([`${server.origin}/model.pth?key=secret`], { cache });
  await expect(fetching).rejects.toThrow(kind);
  await expect(fetching).rejects.toThrow(message);
  await expect(fetching).rejects.toThrow(/^(?!.*secret)/);
  await expectNotCached(cache);
}

/** Fetches a file, which must succeed, and gives what the server and the clock saw. */
async function fetched(handle: Handler, bytes = small, sha256?: string) {
  const server = await testServer(handle);
  const cache = await temporaryCache();
  const address = `${server.origin}/model.pth`;
  const delays: Delays = { milliseconds: [] };
  const progress: HubProgress[] = [];
  const what = sha256 === undefined ? address : { address, sha256 };
  const [complete] = await downloadNow(
    [what],
    { cache, progress: (one) => progress.push(one) },
    delays,
  );
  expect(complete).toMatchObject({ size: bytes.length, sha256: sumOf(bytes) });
  await expectCached(cache, address, bytes);
  const loaded = progress.map(({ loadedBytes }) => loadedBytes);
  expect(loaded).toEqual([...loaded].sort((a, b) => a - b));
  expect(progress.at(-1)).toEqual({
    stage: 'done',
    loadedBytes: bytes.length,
    totalBytes: bytes.length,
    fromCache: false,
  });
  return { server, cache, address, delays: delays.milliseconds, progress };
}

describe('a good server', () => {
  test('sends each byte once, in ranges, and never again', async () => {
    const { server, cache, address } = await fetched(serving(file), file);
    expect(server.sentBytes).toBe(file.length);
    const count = server.seen.length;
    expect(count).toBe(3);
    await downloadNow([address], { cache });
    expect(server.seen).toHaveLength(count);
  });

  test('of much more, whose sum is taken beside, gives the same', async () => {
    const much = fileOf(34_000_000, 3);
    await fetched(serving(much), much, sumOf(much));
  });

  test('may have a file that fits into the first request', async () => {
    const { server } = await fetched(serving(fileOf(10)), fileOf(10));
    expect(server.seen).toHaveLength(1);
  });

  test('is asked whether a file is new only on demand', async () => {
    const { server, cache, address } = await fetched(serving(small));
    await downloadNow([address], { cache, refresh: true });
    await expectCached(cache, address, small);
    expect(server.sentBytes).toBeLessThan(small.length + 100_000);
    server.handle = serving(file);
    await downloadNow([address], { cache, refresh: true });
    await expectCached(cache, address, file);
  });

  test('serves several files under one progress', async () => {
    const server = await testServer((request, response) =>
      serving(request.url === '/b' ? file : small)(request, response),
    );
    const cache = await temporaryCache();
    const progress: HubProgress[] = [];
    const addresses = [`${server.origin}/b`, `${server.origin}/a`];
    const found = await downloadNow(addresses, { cache, progress: (one) => progress.push(one) });
    expect(found.map(({ size }) => size)).toEqual([file.length, small.length]);
    const totals = new Set(progress.map(({ totalBytes }) => totalBytes));
    expect([...totals]).toEqual([undefined, file.length + small.length]);
    const loaded = progress.map(({ loadedBytes }) => loadedBytes);
    expect(loaded).toEqual([...loaded].sort((a, b) => a - b));
    expect(progress.at(-1)).toMatchObject({
      stage: 'done',
      loadedBytes: file.length + small.length,
    });

    const again: HubProgress[] = [];
    await downloadNow(addresses, { cache, progress: (one) => again.push(one) });
    expect(again.at(-1)).toEqual({ ...progress.at(-1), fromCache: true });
  });
});

describe('a server that cuts', () => {
  test('after so many bytes of each answer is asked for the rest alone', async () => {
    const { server } = await fetched((request, response) => {
      const { start, end } = rangeOf(request)!;
      const part = file.subarray(start, Math.min(end, file.length));
      response.writeHead(206, {
        etag: '"1"',
        'content-range': `bytes ${start}-${start + part.length - 1}/${file.length}`,
        'content-length': part.length,
      });
      if (part.length < 1_000_000) response.end(part);
      else response.write(part.subarray(0, 1_000_000), () => response.destroy());
    }, file);
    expect(server.seen.length).toBeGreaterThan(9);
    // What was in the connection when it was cut is lost, and no more.
    expect(server.sentBytes).toBeLessThan(1.5 * file.length);
  });

  test('always is given up, with what came kept', async () => {
    let whole = true;
    const server = await testServer((request, response) => {
      const { start } = rangeOf(request)!;
      if (start === 0 || whole === false) return serving(small)(request, response);
      response.writeHead(206, { etag: serverTag, 'content-range': `bytes ${start}-299999/300000` });
      response.write(small.subarray(start, start + 1), () => response.destroy());
    });
    const serverTag = `"${sumOf(small).slice(0, 8)}"`;
    const cache = await temporaryCache();
    const fetching = downloadNow([`${server.origin}/m`], { cache });
    await expect(fetching).rejects.toThrow(/connection ended before the file did/);
    await expect(fetching).rejects.toThrow(FormatError);
    await expectNotCached(cache);
    whole = false;
    const before = server.sentBytes;
    await downloadNow([`${server.origin}/m`], { cache });
    await expectCached(cache, `${server.origin}/m`, small);
    expect(server.sentBytes - before).toBeLessThan(small.length - 65_000);
  });
});

describe('a server that is slow or busy', () => {
  test('dribbling its bytes ends with the file', async () => {
    await fetched((request, response) => {
      const { start, end } = rangeOf(request)!;
      const part = small.subarray(start, end);
      response.writeHead(206, {
        etag: '"1"',
        'content-range': `bytes ${start}-${start + part.length - 1}/${small.length}`,
      });
      const send = (at: number): void => {
        if (at >= part.length) return void response.end();
        response.write(part.subarray(at, at + 20_000), () => setTimeout(send, 1, at + 20_000));
      };
      send(0);
    });
  });

  test.each([
    [429, '3', [3000, 3000], [3000, 3000]],
    [503, '0', [225, 450], [375, 750]],
  ])(
    'and says %i is waited for as it asks, or longer each time',
    async (status, after, least, most) => {
      let busy = 2;
      const { delays } = await fetched((request, response) => {
        if (busy-- > 0) return fail(response, status, { 'retry-after': after });
        serving(small)(request, response);
      });
      expect(delays).toHaveLength(2);
      for (const [i, delay] of delays.entries()) {
        expect(delay).toBeGreaterThanOrEqual(least[i]!);
        expect(delay).toBeLessThanOrEqual(most[i]!);
      }
    },
  );

  test('and asks to wait for too long is not waited for', async () => {
    await refused(
      (_, response) => fail(response, 429, { 'retry-after': '86400' }),
      FormatError,
      /429/,
    );
  });

  test('four requests that are refused together have failed once', async () => {
    let refusals = 0;
    const { delays } = await fetched((request, response) => {
      const { start } = rangeOf(request)!;
      if (start > 0 && refusals < 4) {
        refusals++;
        return fail(response, 429);
      }
      serving(big)(request, response);
    }, big);
    expect(delays.length).toBeLessThan(5);
  });

  test.each([500, 502, 429])('and says %i for ever is given up', async (status) => {
    await refused((_, response) => fail(response, status), FormatError, new RegExp(String(status)));
  });
});

const big = fileOf(34_000_000, 3);

describe('a server that lies about length', () => {
  const claims =
    (claimed: number): Handler =>
    (request, response) => {
      const { start, end } = rangeOf(request)!;
      const part = small.subarray(start, Math.min(end, small.length));
      if (part.length === 0) return fail(response, 416);
      response.writeHead(206, {
        etag: '"1"',
        'content-range': `bytes ${start}-${start + part.length - 1}/${claimed}`,
      });
      response.end(part);
    };

  test('and has less than it says is an error', async () => {
    await refused(claims(small.length + 1000), FormatError, /cuts the file short|shorter/);
    await refused(claims(small.length * 2), FormatError, /cuts the file short|shorter/);
  });

  test('and has more than it says is an error where the sum is known', async () => {
    const server = await testServer(claims(200_000));
    const cache = await temporaryCache();
    const what = { address: `${server.origin}/m`, sha256: sumOf(small) };
    await expect(downloadNow([what], { cache })).rejects.toThrow(/others came|sha256/);
    await expectNotCached(cache);
  });

  test('and sends more than was asked for is an error', async () => {
    await refused(
      (request, response) => {
        const { start, end } = rangeOf(request)!;
        const part = small.subarray(start, end + 10);
        response.writeHead(206, { etag: '"1"', 'content-range': `bytes ${start}-${end}/300000` });
        response.end(part);
      },
      FormatError,
      /others came/,
    );
  });

  test('and says a Content-Length that is too long is an error', async () => {
    await refused(
      (_, response) => {
        response.writeHead(200, { etag: '"1"', 'content-length': small.length + 5 });
        response.write(small, () => response.destroy());
      },
      FormatError,
      /connection ended|cuts the file short/,
    );
  });

  test('and sends other bytes than those asked for is an error', async () => {
    await refused(
      (request, response) => {
        const { start, end } = rangeOf(request)!;
        const from = start === 0 ? 0 : start + 1;
        response.writeHead(206, { etag: '"1"', 'content-range': `bytes ${from}-${end}/300000` });
        response.end(small.subarray(from, end + 1));
      },
      FormatError,
      /others came/,
    );
  });

  test('and says it to HEAD alone is believed, and no connection is held', async () => {
    await fetched((request, response) => {
      if (request.method === 'HEAD') {
        response.writeHead(200, { etag: '"1"', 'content-length': small.length }).end();
        return;
      }
      response.writeHead(200, { etag: '"1"' });
      response.write(small, () => response.end());
    });
    // One that waits for its answer to be read would keep the process from ending by itself.
    await vi.waitFor(() => expect(globalAgent.sockets).toEqual({}));
  });

  test('and says nothing of it is an error', async () => {
    await refused(
      (_, response) => {
        response.writeHead(200);
        response.write(small, () => response.end());
      },
      FormatError,
      /does not tell the size/,
    );
  });
});

describe('a file that changes between ranges', () => {
  const other = fileOf(300_000, 9);

  test('is fetched anew, once', async () => {
    let requests = 0;
    const { server } = await fetched((request, response) => {
      serving(requests++ === 0 ? small : other)(request, response);
    }, other);
    expect(server.seen.length).toBeGreaterThan(2);
  });

  test('every time is an error', async () => {
    let version = 0;
    await refused(
      (request, response) => serving(fileOf(300_000, ++version))(request, response),
      FormatError,
      /was changed/,
    );
  });

  test('without another tag is an error where the sum is known', async () => {
    const server = await testServer((request, response) => {
      const bytes = rangeOf(request)?.start === 0 ? small : other;
      serving(bytes, { etag: '"same"' })(request, response);
    });
    const cache = await temporaryCache();
    const what = { address: `${server.origin}/m`, sha256: sumOf(small) };
    const fetching = downloadNow([what], { cache });
    await expect(fetching).rejects.toThrow(/sha256 of what came/);
    await expect(fetching).rejects.toThrow(FormatError);
    await expectNotCached(cache);
  });

  test('in size is an error', async () => {
    let count = 0;
    await refused(
      (request, response) =>
        serving(fileOf(300_000 + count++ * 10), { etag: '"same"' })(request, response),
      FormatError,
      /bytes now and said/,
    );
  });

  test('cannot be seen without a tag, so then it is fetched in one piece', async () => {
    const { server } = await fetched(serving(small, {}));
    expect(server.seen.map(({ range }) => range)).toEqual(['bytes=0-65535', '']);
  });

  test('is known by the date of it too', async () => {
    const dated = { 'last-modified': 'Tue, 01 Jan 2030 00:00:00 GMT' };
    const { server } = await fetched(serving(small, dated));
    expect(server.seen.at(-1)!.range).toBe('bytes=65536-299999');
  });
});

describe('a server that ignores Range', () => {
  test('sends the file once', async () => {
    const { server } = await fetched(ignoringRanges(file), file);
    expect(server.seen).toHaveLength(1);
  });

  test('and cuts is asked for all of it again', async () => {
    let cuts = 2;
    const { progress } = await fetched((request, response) => {
      if (cuts-- <= 0) return ignoringRanges(small)(request, response);
      response.writeHead(200, { 'content-length': small.length });
      response.write(small.subarray(0, 200_000), () => response.destroy());
    });
    expect(progress.length).toBeGreaterThan(2);
  });

  test('and changes in between never gives a mix', async () => {
    let first = true;
    const other = fileOf(300_000, 9);
    await fetched((request, response) => {
      if (!first) return ignoringRanges(other)(request, response);
      first = false;
      response.writeHead(200, { 'content-length': small.length });
      response.write(small.subarray(0, 200_000), () => response.destroy());
    }, other);
  });
});

describe('redirects', () => {
  test.each([301, 302, 303, 307, 308])('by %i are resolved once', async (status) => {
    const { server } = await fetched((request, response) => {
      if (request.url === '/model.pth') return fail(response, status, { location: '/deep' });
      if (request.url === '/deep') return fail(response, status, { location: './real?x=1' });
      serving(file)(request, response);
    }, file);
    expect(
      server.seen.map(({ path }) => path).filter((path) => path === '/model.pth'),
    ).toHaveLength(1);
  });

  test('that run out are asked for again', async () => {
    let valid = 1;
    let uses = 0;
    const { server } = await fetched((request, response) => {
      if (request.url === '/model.pth')
        return fail(response, 302, { location: `/real?${++valid}` });
      if (request.url !== `/real?${valid}` || ++uses === 2) return fail(response, 403);
      serving(file)(request, response);
    }, file);
    expect(server.seen.filter(({ path }) => path === '/model.pth').length).toBe(2);
  });

  test('in a ring are an error', async () => {
    await refused(
      (_, response) => fail(response, 301, { location: '/a' }),
      FormatError,
      /redirected/,
    );
  });

  test('to nowhere, and to files of this machine, are errors', async () => {
    await refused((_, response) => fail(response, 301), FormatError, /redirected to no address/);
    const local = { location: 'file:///etc/passwd' };
    await refused((_, response) => fail(response, 301, local), FormatError, /to file:/);
  });
});

describe('a server that has no file', () => {
  test.each<[number, ErrorClass, RegExp]>([
    [401, UsageError, /401 Unauthorized: the file is private, .*HF_TOKEN/],
    [403, UsageError, /403 Forbidden: access must be granted/],
    [404, UsageError, /404 Not Found: there is no such file; check the address/],
    [410, UsageError, /410 Gone: there is no such file/],
    [418, FormatError, /418/],
    [416, FormatError, /is empty/],
  ])('and answers %i is an error, at once', async (status, kind, message) => {
    await refused((_, response) => fail(response, status), kind, message);
  });

  test('but a page is an error that says so', async () => {
    const page = '<!doctype html><p>Not a model</p>';
    const html = { 'content-type': 'text/html; charset=utf-8' };
    await refused(
      (_, response) => void response.writeHead(200, html).end(page),
      FormatError,
      /web page/,
    );
    const bytes = new TextEncoder().encode(`\n<html><p>${'x'.repeat(1000)}`);
    await refused(serving(bytes), FormatError, /web page/);
    await refused(ignoringRanges(bytes), FormatError, /web page/);
  });

  test('and cannot be reached is an error', async () => {
    const server = await testServer();
    await server.close();
    const cache = await temporaryCache();
    const fetching = downloadNow([`${server.origin}/model.pth?key=secret`], { cache });
    await expect(fetching).rejects.toThrow(/could not be reached \(.*ECONNREFUSED/);
    await expect(fetching).rejects.toThrow(FormatError);
  });
});

describe('a hub', () => {
  const address = 'hf:owner/repo@v1/model.pth';

  async function hub(bytes: Uint8Array, sum?: string) {
    const storage = await testServer(serving(bytes));
    const server = await testServer(hubHandler(bytes, storage.origin, sum));
    return { storage, server, cache: await temporaryCache() };
  }

  test('leads to its storage, and its sum is checked', async () => {
    const { storage, server, cache } = await hub(file);
    const [complete] = await downloadNow([address], { cache, endpoint: server.origin });
    expect(complete?.sha256).toBe(sumOf(file));
    await expectCached(cache, address, file);
    expect(server.seen.map(({ path }) => path)).toEqual(['/owner/repo/resolve/v1/model.pth']);
    expect(storage.sentBytes).toBe(file.length);
  });

  test('whose storage gives another file is an error', async () => {
    const { server, cache } = await hub(small, sumOf(file));
    const fetching = downloadNow([address], { cache, endpoint: server.origin });
    await expect(fetching).rejects.toThrow(/sha256 of what came is .* and should be/);
    await expectNotCached(cache);
    expect(await cache.list()).toEqual([]);
  });

  test('that knows another sum than the caller is an error before anything is fetched', async () => {
    const { storage, server, cache } = await hub(file);
    const what = { address, sha256: sumOf(small) };
    const fetching = downloadNow([what], { cache, endpoint: server.origin });
    await expect(fetching).rejects.toThrow(/the hub says that its sha256/);
    await expect(fetching).rejects.toThrow(UsageError);
    expect(storage.sentBytes).toBeLessThan(70_000);
  });

  test.each([
    ['RepoNotFound', /no such repository, or it is private/],
    ['RevisionNotFound', /no such revision/],
    ['EntryNotFound', /no such file in the repository/],
  ])('says what is missing: %s', async (code, message) => {
    const server = await testServer((_, response) => fail(response, 404, { 'x-error-code': code }));
    const cache = await temporaryCache();
    await expect(downloadNow([address], { cache, endpoint: server.origin })).rejects.toThrow(
      message,
    );
  });

  test('is asked for sizes and sums where its redirects cannot be seen', async () => {
    const server = await testServer((request, response) => {
      if (request.url !== '/api/models/owner/repo/paths-info/v1') {
        return serving(small)(request, response);
      }
      const lfs = { oid: sumOf(file), size: small.length };
      response.writeHead(200, { 'content-type': 'application/json' });
      response.end(JSON.stringify([{ path: 'model.pth', size: 130, lfs }]));
    });
    const cache = await temporaryCache();
    const fetching = downloadNow([address], { cache, endpoint: server.origin });
    await expect(fetching).rejects.toThrow(/sha256 of what came/);
  });

  test('is not asked offline', async () => {
    const { server, cache } = await hub(small);
    const options = { cache, endpoint: server.origin };
    await expect(downloadNow([address], { ...options, offline: true })).rejects.toThrow(
      /is not in the cache .* offline/,
    );
    expect(server.seen).toEqual([]);
    await downloadNow([address], options);
    await server.close();
    const [found] = await downloadNow([address], { ...options, offline: true, refresh: true });
    expect(found?.sha256).toBe(sumOf(small));
  });
});

describe('a server that compresses what is not to be compressed', () => {
  const words = new TextEncoder().encode('once upon a time '.repeat(20_000));

  test.each([
    ['gzip', gzipSync],
    ['br', brotliCompressSync],
    ['deflate', deflateSync],
  ])('gives the whole all the same: %s', async (encoding, compress) => {
    await fetched((request, response) => {
      if (request.method === 'HEAD') {
        response.writeHead(200, { etag: '"1"', 'content-length': words.length }).end();
        return;
      }
      const headers = { etag: '"1"', 'content-encoding': encoding };
      response.writeHead(200, headers).end(compress(words));
    }, words);
  });

  test('is refused where it cuts the whole short or damages it', async () => {
    for (const damage of [
      (bytes: Buffer) => bytes.subarray(0, -50),
      (bytes: Buffer) => bytes.fill(1, 300),
    ]) {
      await refused(
        (request, response) => {
          if (request.method === 'HEAD') {
            response.writeHead(200, { etag: '"1"', 'content-length': small.length }).end();
            return;
          }
          const headers = { etag: '"1"', 'content-encoding': 'gzip' };
          response.writeHead(200, headers).end(damage(gzipSync(small)));
        },
        FormatError,
        /connection ended/,
      );
    }
  });

  test('is refused for ranges, which are of something else then', async () => {
    await refused(
      serving(gzipSync(words), { etag: '"1"', 'content-encoding': 'gzip' }),
      FormatError,
      /sends ranges of it compressed \(gzip\)/,
    );
  });
});

test('a file that is asked for twice is fetched once', async () => {
  const server = await testServer(serving(small));
  const cache = await temporaryCache();
  const address = `${server.origin}/m`;
  const sum = sumOf(small);
  const progress: HubProgress[] = [];
  const files = await downloadNow([address, { address, sha256: sum }, `${server.origin}/./m`], {
    cache,
    progress: (one) => progress.push(one),
  });
  expect(files.map(({ sha256 }) => sha256)).toEqual([sum, sum, sum]);
  expect(server.sentBytes).toBe(small.length);
  expect(progress.at(-1)).toMatchObject({ totalBytes: small.length, loadedBytes: small.length });
  const other = { address, sha256: '0'.repeat(64) };
  await expect(downloadNow([{ address, sha256: sum }, other], { cache })).rejects.toThrow(
    /asked for with the sha256 .* and with 0/,
  );
});

test('a server that never answers is given up, and its connections with it', async () => {
  vi.useFakeTimers({ toFake: ['setTimeout', 'clearTimeout'] });
  onTestFinished(() => void vi.useRealTimers());
  const open = new Set<unknown>();
  const server = await testServer(({ socket }) => {
    open.add(socket);
    socket.once('close', () => open.delete(socket));
    // The time that the client waits passes at once.
    setImmediate(() => vi.advanceTimersByTime(31_000));
  });
  const fetching = downloadNow([`${server.origin}/m`], { cache: await temporaryCache() });
  await expect(fetching).rejects.toThrow(/could not be reached \(nothing came for 30 seconds\)/);
  expect(server.seen).toHaveLength(5);
  vi.useRealTimers();
  await vi.waitFor(() => expect(open.size).toBe(0));
});

test('a sum that is none is refused', async () => {
  const cache = await temporaryCache();
  const what = { address: 'hf:o/r/m', sha256: 'abc' };
  await expect(downloadNow([what], { cache })).rejects.toThrow(/64 hexadecimal digits/);
});
