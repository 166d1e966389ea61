import { describeBrowser, openPage, type OpenPageOptions } from '@rwkv-js/browser-testing';
import { expect, test } from 'vitest';
import {
  fail,
  fileOf,
  hubHandler,
  rangeOf,
  serving,
  sumOf,
  testServer,
  type Handler,
} from './server.ts';

const file = fileOf(11_000_000);

/** Lets a page of another origin ask, and see what the real hub lets it see. */
function forPages(handle: Handler): Handler {
  return (request, response) => {
    response.setHeader('access-control-allow-origin', '*');
    response.setHeader('access-control-allow-headers', 'authorization, range, content-type');
    response.setHeader(
      'access-control-expose-headers',
      'etag, content-range, x-linked-size, x-linked-etag',
    );
    if (request.method === 'OPTIONS') return fail(response, 204);
    handle(request, response);
  };
}

const open = (options: OpenPageOptions = {}) =>
  openPage<typeof import('./browser-page.ts')>(
    new URL('./browser-page.ts', import.meta.url),
    options,
  );

/** A page, and a server that has the file. */
async function pageAndServer(handle: Handler = serving(file), options: OpenPageOptions = {}) {
  const server = await testServer(forPages(handle));
  return { server, page: await open(options), address: `${server.origin}/model.pth` };
}

describeBrowser('in a page', () => {
  test('the first load fetches each byte once, the second asks nothing, with the network off', async () => {
    const { server, page, address } = await pageAndServer();
    const first = await page.call('load', address);
    expect(first).toMatchObject({ kind: 'OPFS', sum: sumOf(file), warnings: [] });
    expect(server.sentBytes).toBe(file.length);
    const loaded = first.progress.map(({ loadedBytes }) => loadedBytes);
    expect(loaded).toEqual([...loaded].sort((a, b) => a - b));
    expect(first.progress.at(-1)).toMatchObject({ stage: 'done', loadedBytes: file.length });

    await page.reload();
    await page.context.setOffline(true);
    const count = server.seen.length;
    const second = await page.call('load', address);
    expect(second.sum).toBe(sumOf(file));
    expect(second.progress.at(-1)).toMatchObject({ fromCache: true, loadedBytes: file.length });
    expect(server.seen).toHaveLength(count);
    expect(await page.call('readFirst', address, 5_000_000, 4)).toEqual(
      Array.from(file.subarray(5e6, 5e6 + 4)),
    );

    expect(await page.call('list')).toMatchObject([{ address, whole: true, size: file.length }]);
    expect(await page.call('remove', address)).toBeGreaterThanOrEqual(file.length);
    expect(await page.call('list')).toEqual([]);
    const offline = await page.call('load', address, { offline: true });
    expect(offline.error).toMatchObject({ name: 'UsageError' });
  });

  test('an aborted load goes on where it ended, in another visit', async () => {
    const { server, page, address } = await pageAndServer();
    const aborted = await page.call('load', address, { abortAt: 4_000_000 });
    expect(aborted.error).toMatchObject({ name: 'AbortError' });
    expect(await page.call('list')).toMatchObject([{ whole: false }]);
    await page.reload();
    const before = server.seen.length;
    expect(await page.call('load', address)).toMatchObject({ sum: sumOf(file) });
    const again = server.seen.slice(before).map(({ range }) => range);
    expect(again).not.toContain('bytes=0-65535');
    expect(server.seen.length).toBeGreaterThan(before);
    expect((await page.call('load', address)).progress.at(-1)).toMatchObject({ fromCache: true });
  });

  test('bytes that are wanted come before the rest', async () => {
    const { server, page, address } = await pageAndServer();
    const bytes = await page.call('readFirst', address, file.length - 4, 4);
    expect(bytes).toEqual(Array.from(file.subarray(-4)));
    expect(server.sentBytes).toBe(file.length);
    expect(server.seen[1]!.range).toMatch(/-10999999$/);
  });

  test('a file that does not fit is an error with the bytes that it needs', async () => {
    const { page, address } = await pageAndServer();
    const devtools = await page.context.newCDPSession(page.page);
    const quota = { origin: page.origin, quotaSize: 3_000_000 };
    await devtools.send('Storage.overrideQuotaForOrigin', quota);
    const { error } = await page.call('load', address);
    expect(error?.name).toBe('UsageError');
    expect(error?.message).toMatch(/\d{7,8} more bytes are needed/);
    await devtools.send('Storage.overrideQuotaForOrigin', { origin: page.origin });
    expect(await page.call('load', address)).toMatchObject({ sum: sumOf(file) });
  });

  test('a quota that runs out on the way is an error with the bytes that are missing', async () => {
    let asked = 0;
    const { page, address } = await pageAndServer(async (request, response) => {
      if (++asked === 2) {
        const quota = { origin: page.origin, quotaSize: 1_000_000 };
        await devtools.send('Storage.overrideQuotaForOrigin', quota);
      }
      serving(file)(request, response);
    });
    const devtools = await page.context.newCDPSession(page.page);
    const { error } = await page.call('load', address);
    expect(error?.message).toMatch(/\d{7,8} more bytes are needed/);
    await devtools.send('Storage.overrideQuotaForOrigin', { origin: page.origin });
    expect(await page.call('load', address)).toMatchObject({ sum: sumOf(file) });
  });

  test.each(['a browser that refuses its file system', 'no secure context'])(
    'with %s files are kept in memory, with a warning',
    async (where) => {
      const secure = where !== 'no secure context';
      const host = secure ? '127.0.0.1' : 'plain.example';
      const { server, page, address } = await pageAndServer(serving(file), { host });
      if (secure) await page.call('refuseStorage');
      const { kind, sum, warnings } = await page.call('load', address);
      expect({ kind, sum }).toEqual({ kind: 'memory', sum: sumOf(file) });
      expect(warnings).toEqual([
        expect.stringMatching(/kept in memory, and fetched again next time/),
      ]);
      expect(server.sentBytes).toBe(file.length);
    },
  );

  test('a private window loads and keeps the file as long as it is open', async () => {
    const { server, page, address } = await pageAndServer(serving(file), { incognito: true });
    expect(await page.call('load', address)).toMatchObject({ sum: sumOf(file) });
    const again = await page.call('load', address);
    expect(again.progress.at(-1)).toMatchObject({ fromCache: again.kind === 'OPFS' });
    expect(server.sentBytes).toBe(again.kind === 'OPFS' ? file.length : 2 * file.length);
  });

  test('a damaged piece is found and the file fetched again, with a warning', async () => {
    const { server, page, address } = await pageAndServer();
    await page.call('load', address);
    expect(await page.call('damage')).toBe(1);
    const { sum, warnings } = await page.call('load', address);
    expect(sum).toBe(sumOf(file));
    expect(warnings).toEqual([expect.stringMatching(/is damaged; it is fetched again/)]);
    expect(server.sentBytes).toBe(2 * file.length);
  });

  test('two tabs that load the same file fetch it once', async () => {
    const { server, page, address } = await pageAndServer();
    const other = await page.context.newPage();
    await other.goto(page.origin);
    await other.waitForFunction('globalThis.tested !== undefined');
    const [here, there] = await Promise.all([
      page.call('load', address),
      other.evaluate(`tested.load(${JSON.stringify(address)})`),
    ]);
    expect(here.sum).toBe(sumOf(file));
    expect(there).toMatchObject({ sum: sumOf(file) });
    expect(server.sentBytes).toBe(file.length);
  });

  test('a cut connection and a busy server end with the file', async () => {
    let troubles = 0;
    const { page, address } = await pageAndServer((request, response) => {
      const { start, end } = rangeOf(request)!;
      if (start === 0 || ++troubles > 2) return serving(file)(request, response);
      if (troubles === 1) return fail(response, 503, { 'retry-after': '0' });
      const last = Math.min(end, file.length) - 1;
      const tag = `"${sumOf(file).slice(0, 8)}"`;
      response.writeHead(206, {
        etag: tag,
        'content-range': `bytes ${start}-${last}/${file.length}`,
      });
      response.write(file.subarray(start, start + 100_000), () => response.destroy());
    });
    expect(await page.call('load', address)).toMatchObject({ sum: sumOf(file) });
  });

  test('a token goes to the hub and not to where it redirects, and the hub tells the sum', async () => {
    const token = 'hf_TheVerySecretToken';
    const storage = await testServer(forPages(serving(file)));
    let told = sumOf(file);
    const hub = await testServer(
      forPages((request, response) => {
        if (!request.url?.includes('/paths-info/')) {
          return hubHandler(file, storage.origin)(request, response);
        }
        const lfs = { oid: told, size: file.length };
        response.writeHead(200, { 'content-type': 'application/json' });
        response.end(JSON.stringify([{ path: 'model.pth', size: file.length, lfs }]));
      }),
    );
    const page = await open();
    const options = { endpoint: hub.origin, token };
    const outcome = await page.call('load', 'hf:owner/repo/model.pth', options);
    expect(outcome).toMatchObject({ sum: sumOf(file) });
    const asked = hub.seen.filter(({ method }) => method !== 'OPTIONS');
    expect(new Set(asked.map(({ authorization }) => authorization))).toEqual(
      new Set([`Bearer ${token}`]),
    );
    expect(storage.seen.length).toBeGreaterThan(0);
    for (const seen of storage.seen) expect(JSON.stringify(seen)).not.toContain(token);
    expect(JSON.stringify(outcome) + page.console.join()).not.toContain(token);

    told = '0'.repeat(64);
    const wrong = await page.call('load', 'hf:owner/repo@v2/model.pth', options);
    expect(wrong.error?.message).toMatch(/sha256 of what came/);
    expect(await page.call('list')).toHaveLength(1);
  });
});
