import { readFile, readdir } from 'node:fs/promises';
import { join } from 'node:path';
import { inspect } from 'node:util';
import { UsageError } from '@rwkv-js/tensor';
import { afterEach, describe, expect, test, vi } from 'vitest';
import { downloadNow, temporaryCache } from '../test/cases.ts';
import { fail, fileOf, hubHandler, serving, testServer } from '../test/server.ts';
import { openFiles } from './open-files.ts';

const token = 'hf_TheVerySecretToken';
const file = fileOf(300_000);
const address = 'hf:owner/private/model.pth';

afterEach(() => {
  vi.unstubAllEnvs();
  vi.restoreAllMocks();
});

/** A hub that wants the token and redirects to a storage on another origin. */
async function privateHub() {
  const storage = await testServer(serving(file));
  const open = hubHandler(file, storage.origin);
  const hub = await testServer((request, response) => {
    if (request.headers.authorization !== `Bearer ${token}`) return fail(response, 401);
    open(request, response);
  });
  const logs: string[] = [];
  for (const method of ['log', 'info', 'warn', 'error', 'debug'] as const) {
    vi.spyOn(console, method).mockImplementation((...words) => void logs.push(inspect(words)));
  }
  const cache = await temporaryCache((message) => void logs.push(message));
  return { storage, hub, cache, logs, options: { cache, endpoint: hub.origin } };
}

async function everyFile(folder: string): Promise<Buffer> {
  const names = await readdir(folder, { recursive: true, withFileTypes: true });
  const files = names.filter((one) => one.isFile());
  const contents = files.map((one) => readFile(join(one.parentPath, one.name)));
  return Buffer.concat([
    Buffer.from(names.map((one) => one.name).join()),
    ...(await Promise.all(contents)),
  ]);
}

describe('a token', () => {
  test.each([
    ['by option', { token }],
    ['by callback', { token: async () => token }],
    ['by environment', {}],
  ])('given %s goes to the hub and nowhere else', async (how, given) => {
    if (how === 'by environment') vi.stubEnv('HF_TOKEN', token);
    const { storage, hub, cache, logs, options } = await privateHub();
    const progress: string[] = [];
    await downloadNow([address], {
      ...options,
      ...given,
      progress: (one) => progress.push(inspect(one)),
    });
    expect(hub.seen.map(({ authorization }) => authorization)).toEqual([`Bearer ${token}`]);
    expect(storage.seen.length).toBeGreaterThan(0);
    for (const seen of storage.seen) expect(inspect(seen)).not.toContain(token);
    expect(logs.join() + progress.join()).not.toContain(token);
    const stored = await everyFile(cache.place);
    expect(stored.includes(token)).toBe(false);
    expect(stored.includes('signed-secret')).toBe(false);
  });

  test('stays out of the part that an aborted fetch leaves', async () => {
    const { cache, options } = await privateHub();
    const [open] = await openFiles([address], { ...options, token });
    await open!.close();
    const stored = await everyFile(cache.place);
    expect(stored.includes('"have":[[0,65536]]')).toBe(true);
    expect(stored.includes(token)).toBe(false);
    expect(stored.includes('signed-secret')).toBe(false);
  });

  test('is not sent back to the hub by a storage that redirects there, nor to another port', async () => {
    const other = await testServer(serving(file));
    const { hub, storage, options } = await privateHub();
    storage.handle = (_, response) => fail(response, 302, { location: `${other.origin}/x` });
    await downloadNow([address], { ...options, token });
    expect(hub.seen).toHaveLength(1);
    for (const seen of [...other.seen, ...storage.seen]) {
      expect(seen.authorization).toBeUndefined();
    }
  });

  test('of the hub is not sent with a plain URL of another host', async () => {
    vi.stubEnv('HF_TOKEN', token);
    const { cache, hub } = await privateHub();
    const other = await testServer(serving(file));
    const asked: string[] = [];
    const options = { cache, endpoint: hub.origin };
    await downloadNow([`${other.origin}/a`], options);
    await downloadNow([`${other.origin}/b`], { ...options, token });
    for (const seen of other.seen) expect(seen.authorization).toBeUndefined();
    const mine = (origin: string): string | undefined => {
      asked.push(origin);
      return origin === other.origin ? 'another-token' : undefined;
    };
    await downloadNow([`${other.origin}/c`], { ...options, token: mine });
    expect(asked).toEqual([other.origin]);
    expect(other.seen.at(-1)?.authorization).toBe('Bearer another-token');
  });

  test.each([
    ['refused', (status: number) => status, undefined],
    ['put into the message of a custom fetch', () => 0, `cannot send ${token}`],
  ])('is in no error when it is %s', async (_, __, message) => {
    const { hub, options, logs } = await privateHub();
    hub.handle = (_request, response) => fail(response, 401);
    const custom = async (): Promise<Response> => {
      throw new Error(message, { cause: { authorization: token } });
    };
    const fetching = downloadNow([address], {
      ...options,
      token,
      ...(message === undefined ? {} : { fetch: custom }),
    });
    const error: unknown = await fetching.catch((caught: unknown) => caught);
    expect(error).toBeInstanceOf(Error);
    expect(inspect(error, { depth: 10, showHidden: true })).not.toContain(token);
    expect(logs.join()).not.toContain(token);
  });

  test.each([`${token}\n`, `${token} `, `${token}é`])(
    '%j is refused without being shown',
    async (bad) => {
      const { hub, options } = await privateHub();
      const fetching = downloadNow([address], { ...options, token: bad });
      await expect(fetching).rejects.toThrow(UsageError);
      await expect(fetching).rejects.toThrow(/^(?!.*VerySecret).*copy it again/s);
      expect(hub.seen).toEqual([]);
    },
  );

  test('that the hub does not know is told', async () => {
    const { options } = await privateHub();
    const fetching = downloadNow([address], { ...options, token: 'other' });
    await expect(fetching).rejects.toThrow(/401 Unauthorized: it does not know the token/);
  });
});

describe('the environment', () => {
  test('names the hub and whether to ask it', async () => {
    const { hub, cache } = await privateHub();
    vi.stubEnv('HF_ENDPOINT', hub.origin);
    vi.stubEnv('HF_TOKEN', token);
    vi.stubEnv('HF_HUB_OFFLINE', '1');
    await expect(downloadNow([address], { cache })).rejects.toThrow(/HF_HUB_OFFLINE/);
    expect(hub.seen).toEqual([]);
    vi.stubEnv('HF_HUB_OFFLINE', '0');
    await downloadNow([address], { cache });
    expect(hub.seen).toHaveLength(1);
  });
});

test('a custom fetch sends every request', async () => {
  const { options } = await privateHub();
  const asked: string[] = [];
  await downloadNow([address], {
    ...options,
    token,
    fetch: (input, init) => {
      asked.push(String(input));
      return fetch(input, init);
    },
  });
  expect(asked[0]).toContain('/owner/private/resolve/main/model.pth');
  expect(asked.length).toBe(3);
});
