import { FormatError, UsageError, viewBytes } from '@rwkv-js/tensor';
import { createServer, type IncomingMessage, type Server, type ServerResponse } from 'node:http';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { fixtureFiles, fixtureTensors, fixtureValues } from '../test/fixtures.ts';
import { openWeights } from './open-weights.ts';
import { urlSource } from './url-source.ts';

/** Longer than the head that the first request fetches. */
const file = Uint8Array.from({ length: 200_000 }, (_, i) => i % 251);

type Handler = (request: IncomingMessage, response: ServerResponse) => void;

let server: Server;
let handle: Handler;
let address = '';
let requests: string[] = [];

beforeEach(async () => {
  requests = [];
  server = createServer((request, response) => {
    requests.push(`${request.method} ${request.headers.range ?? ''}`);
    handle(request, response);
  });
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  const where = server.address();
  if (where === null || typeof where === 'string') throw new Error('no port');
  address = `http://127.0.0.1:${where.port}/models/model.bin?token=secret`;
});
afterEach(async () => {
  server.closeAllConnections();
  await new Promise((resolve) => server.close(resolve));
});

/** Answers ranges as a file server does. */
const ranges =
  (bytes: Uint8Array, headers: Record<string, string> = {}): Handler =>
  (request, response) => {
    const [, first, last] = /^bytes=(\d+)-(\d+)$/.exec(request.headers.range ?? '') ?? [];
    const from = Number(first);
    const to = Math.min(Number(last), bytes.length - 1);
    if (from >= bytes.length) {
      response.writeHead(416, { 'content-range': `bytes */${bytes.length}`, ...headers }).end();
      return;
    }
    const part = bytes.subarray(from, to + 1);
    response.writeHead(206, {
      'content-range': `bytes ${from}-${to}/${bytes.length}`,
      'content-length': part.length,
      ...headers,
    });
    response.end(part);
  };

const whole =
  (bytes: Uint8Array | string, headers: Record<string, string | number> = {}): Handler =>
  (_, response) => {
    response.writeHead(200, headers).end(bytes);
  };

const open = (signal?: AbortSignal) => urlSource(new URL(address), { signal });

async function refused(message: RegExp): Promise<void> {
  await expect(open()).rejects.toThrow(FormatError);
  await expect(open()).rejects.toThrow(message);
}

describe('a server that answers ranges', () => {
  test('is asked for the head once and then for what is read', async () => {
    handle = ranges(file);
    const source = await open();
    expect(source.size).toBe(file.length);
    expect(await source.read(10, 20)).toEqual(file.slice(10, 30));
    expect(await source.read(100_000, 7)).toEqual(file.slice(100_000, 100_007));
    expect(requests).toEqual(['GET bytes=0-65535', 'GET bytes=100000-100006']);
    await source.close();
    await expect(source.read(0, 1)).rejects.toThrow(UsageError);
  });

  test.each([...fixtureFiles().keys()])('gives the tensors of %s', async (name) => {
    handle = ranges(fixtureFiles().get(name) ?? file);
    const weights = await openWeights(address);
    expect(weights.tensors.size).toBe(fixtureTensors.length);
    const bytes = await weights.read('blocks.0.att.key.weight');
    const values = fixtureValues(4);
    if (weights.tensors.get('scale')?.dtype === 'f32') {
      expect(viewBytes('f32', bytes)).toEqual(values);
    } else expect(bytes).toHaveLength(2 * values.length);
    await weights.close();
  });

  test('may redirect', async () => {
    handle = (request, response) => {
      if (request.url?.startsWith('/real')) ranges(file)(request, response);
      else response.writeHead(302, { location: '/real' }).end();
    };
    const source = await open();
    expect(await source.read(199_999, 1)).toEqual(file.slice(199_999));
  });

  test('never shows its query in errors', async () => {
    handle = ranges(file);
    expect((await open()).label).toMatch(/^http:\/\/127\.0\.0\.1:\d+\/models\/model\.bin$/);
  });

  test('may hide the size from the range, and is then asked for it', async () => {
    handle = (request, response) => {
      if (request.method === 'HEAD') {
        response.writeHead(200, { 'content-length': file.length }).end();
      } else response.writeHead(206).end(file.subarray(0, 65536));
    };
    expect((await open()).size).toBe(file.length);
  });

  test('may have an empty file', async () => {
    handle = ranges(new Uint8Array(0));
    expect((await open()).size).toBe(0);
    await expect(openWeights(address)).rejects.toThrow(/is empty/);
  });

  test.each([
    ['another size', () => ranges(file.subarray(0, 150_000))],
    ['another tag', () => ranges(file, { etag: '"2"' })],
    ['the whole file', () => whole(file)],
  ])('that changes to %s while the file is open is a FormatError', async (_, change) => {
    handle = ranges(file, { etag: '"1"' });
    const source = await open();
    handle = change();
    await expect(source.read(100_000, 10)).rejects.toThrow(FormatError);
    await expect(source.read(100_000, 10)).rejects.toThrow(/was changed/);
  });

  test.each([
    ['too few bytes', (length: number) => length - 5],
    ['too many bytes', (length: number) => length + 5],
  ])('that sends %s is a FormatError', async (_, change) => {
    handle = ranges(file);
    const source = await open();
    handle = (_request, response) => {
      response.writeHead(206, { 'content-range': `bytes 100000-100099/${file.length}` });
      response.end(file.subarray(0, change(100)));
    };
    await expect(source.read(100_000, 100)).rejects.toThrow(FormatError);
  });

  test('that cuts the connection is a FormatError', async () => {
    handle = ranges(file);
    const source = await open();
    handle = (_request, response) => {
      response.writeHead(206, {
        'content-range': `bytes 100000-100099/${file.length}`,
        'content-length': 100,
      });
      response.write(file.subarray(0, 10), () => response.destroy());
    };
    await expect(source.read(100_000, 100)).rejects.toThrow(/connection ended/);
    await expect(source.read(100_000, 100)).rejects.toThrow(FormatError);
  });
});

describe('a server that ignores ranges', () => {
  test('gives small files whole, in one request', async () => {
    handle = whole(file, { 'content-length': file.length });
    const source = await open();
    expect(await source.read(100_000, 7)).toEqual(file.slice(100_000, 100_007));
    expect(requests).toHaveLength(1);
  });

  test('gives small files of untold length whole', async () => {
    handle = (_request, response) => {
      response.writeHead(200);
      response.write(file.subarray(0, 1000));
      response.end(file.subarray(1000));
    };
    expect((await open()).size).toBe(file.length);
  });

  test('is refused for long files', async () => {
    handle = (_request, response) => {
      response.writeHead(200, { 'content-length': 5e9 });
      response.write(file);
    };
    await refused(/ignores range requests.*5000000000 bytes/);
  });

  test('is refused where its connection ends early', async () => {
    handle = (_request, response) => {
      response.writeHead(200, { 'content-length': file.length });
      response.write(file.subarray(0, 1000), () => response.destroy());
    };
    await refused(/connection ended/);
  });
});

describe('a server that has no file', () => {
  test.each([
    [404, /404 Not Found/],
    [401, /401 Unauthorized/],
    [500, /500 Internal Server Error/],
  ])('and answers %d is a FormatError', async (status, message) => {
    handle = (_request, response) => {
      response.writeHead(status, { 'content-type': 'text/html' }).end('<html></html>');
    };
    await refused(message);
  });

  test('but a page is a FormatError', async () => {
    handle = whole('<!doctype html><p>hello</p>', { 'content-type': 'text/html; charset=utf-8' });
    await refused(/web page/);
    handle = whole('<!doctype html><p>hello</p>', { 'content-type': 'application/octet-stream' });
    await expect(openWeights(address)).rejects.toThrow(/web page/);
  });

  test('and cannot be reached is a FormatError', async () => {
    address = 'http://127.0.0.1:1/model.bin';
    await refused(/could not be reached/);
  });
});

describe('cancelling', () => {
  test('ends opening while the server is silent', async () => {
    handle = () => {};
    const controller = new AbortController();
    const opening = open(controller.signal);
    setTimeout(() => controller.abort(), 20);
    await expect(opening).rejects.toThrow(expect.objectContaining({ name: 'AbortError' }));
  });

  test('ends a read in the middle of its bytes', async () => {
    handle = ranges(file);
    const source = await open();
    const controller = new AbortController();
    handle = (_request, response) => {
      response.writeHead(206, { 'content-range': `bytes 100000-100099/${file.length}` });
      response.write(file.subarray(0, 10), () => controller.abort());
    };
    const reading = source.read(100_000, 100, { signal: controller.signal });
    await expect(reading).rejects.toThrow(expect.objectContaining({ name: 'AbortError' }));
  });

  test('by closing is a UsageError', async () => {
    handle = ranges(file);
    const source = await open();
    handle = () => void source.close();
    await expect(source.read(100_000, 100)).rejects.toThrow(UsageError);
  });
});

describe('addresses that are not fetched', () => {
  test.each(['ftp://example.com/a.pth', 'http://user:word@127.0.0.1/a.pth'])('%s', async (url) => {
    await expect(openWeights(new URL(url))).rejects.toThrow(UsageError);
  });

  test('text that is no address', async () => {
    await expect(openWeights('http://')).rejects.toThrow(UsageError);
  });
});
