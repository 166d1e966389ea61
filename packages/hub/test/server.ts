import { createHash } from 'node:crypto';
import { createServer, type IncomingMessage, type Server, type ServerResponse } from 'node:http';
import { onTestFinished } from 'vitest';

/** A request that came: what for, which range, and with which headers. */
interface Seen {
  readonly method: string;
  readonly path: string;
  readonly range: string;
  readonly authorization: string | undefined;
}

export type Handler = (request: IncomingMessage, response: ServerResponse) => void;

/** A server on this machine that does what a test tells it, and remembers what it was asked. */
export interface TestServer {
  readonly origin: string;
  readonly seen: Seen[];
  handle: Handler;
  /** Bytes of bodies that were sent. */
  readonly sentBytes: number;
  close(): Promise<void>;
}

/** Starts a server that ends with the test. */
export async function testServer(
  handle: Handler = (_, response) => fail(response, 404),
): Promise<TestServer> {
  const seen: Seen[] = [];
  let sent = 0;
  const http: Server = createServer((request, response) => {
    const { method = '', url = '', headers } = request;
    const { range = '', authorization } = headers;
    seen.push({ method, path: url, range, authorization });
    const write = response.write.bind(response);
    const end = response.end.bind(response);
    const count = (chunk: unknown): void => {
      if (chunk instanceof Uint8Array) sent += chunk.length;
    };
    response.write = ((chunk: never, ...rest: never[]) => {
      count(chunk);
      return write(chunk, ...rest);
    }) as typeof response.write;
    response.end = ((chunk: never, ...rest: never[]) => {
      count(chunk);
      return end(chunk, ...rest);
    }) as typeof response.end;
    server.handle(request, response);
  });
  await new Promise<void>((resolve) => http.listen(0, '127.0.0.1', resolve));
  const where = http.address();
  if (where === null || typeof where === 'string') throw new Error('no port');
  const server = {
    origin: `http://127.0.0.1:${where.port}`,
    seen,
    handle,
    get sentBytes() {
      return sent;
    },
    async close() {
      if (!http.listening) return;
      http.closeAllConnections();
      await new Promise<void>((resolve) => http.close(() => resolve()));
    },
  };
  onTestFinished(() => server.close());
  return server;
}

/** Bytes that look like no others at any place. */
export function fileOf(size: number, seed = 1): Uint8Array {
  const bytes = new Uint8Array(size);
  let state = seed;
  for (let at = 0; at < size; at++) {
    state = (Math.imul(state, 1664525) + 1013904223) >>> 0;
    bytes[at] = state >>> 24;
  }
  return bytes;
}

export const sumOf = (bytes: Uint8Array): string =>
  createHash('sha256').update(bytes).digest('hex');

/** Which bytes are asked for; undefined without a Range header. */
export function rangeOf(request: IncomingMessage): { start: number; end: number } | undefined {
  const [, first, last] = /^bytes=(\d+)-(\d+)$/.exec(request.headers.range ?? '') ?? [];
  return first === undefined ? undefined : { start: Number(first), end: Number(last) + 1 };
}

/** Answers ranges of a file as a good server does. */
export function serving(
  bytes: Uint8Array,
  headers: Record<string, string> = { etag: `"${sumOf(bytes).slice(0, 8)}"` },
): Handler {
  return (request, response) => {
    const range = rangeOf(request);
    if (!range) {
      response.writeHead(200, { 'content-length': bytes.length, ...headers });
      response.end(request.method === 'HEAD' ? undefined : bytes);
      return;
    }
    const { start } = range;
    if (start >= bytes.length) {
      response.writeHead(416, { 'content-range': `bytes */${bytes.length}`, ...headers }).end();
      return;
    }
    const part = bytes.subarray(start, range.end);
    response.writeHead(206, {
      'content-range': `bytes ${start}-${start + part.length - 1}/${bytes.length}`,
      'content-length': part.length,
      ...headers,
    });
    response.end(part);
  };
}

/** Gives all bytes whatever range is asked for. */
export function ignoringRanges(bytes: Uint8Array, headers: Record<string, string> = {}): Handler {
  return (_, response) => {
    response.writeHead(200, { 'content-length': bytes.length, ...headers }).end(bytes);
  };
}

export function fail(
  response: ServerResponse,
  status: number,
  headers: Record<string, string> = {},
): void {
  response.writeHead(status, headers).end();
}

/** A hub as the real one answers: redirects to another server, and says size and sum on the way. */
export function hubHandler(bytes: Uint8Array, storage: string, sum = sumOf(bytes)): Handler {
  return (request, response) => {
    if (!request.url?.includes('/resolve/')) return fail(response, 404);
    fail(response, 302, {
      location: `${storage}/blob?signature=signed-secret`,
      'x-linked-size': String(bytes.length),
      'x-linked-etag': `"${sum}"`,
      'x-repo-commit': '0'.repeat(40),
    });
  };
}
