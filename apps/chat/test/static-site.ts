import { readFile } from 'node:fs/promises';
import { createServer } from 'node:http';
import { extname, join, normalize } from 'node:path';
import { setTimeout } from 'node:timers/promises';

/** A folder on a server of this machine. */
export interface StaticSite {
  /** Where its index is. */
  readonly url: string;
  close(): Promise<void>;
}

const types: Readonly<Record<string, string>> = {
  '.html': 'text/html; charset=utf-8',
  '.js': 'text/javascript; charset=utf-8',
  '.css': 'text/css; charset=utf-8',
  '.json': 'application/json',
  '.svg': 'image/svg+xml',
  '.png': 'image/png',
  '.webmanifest': 'application/manifest+json',
};

export interface ServeOptions {
  /** Where on the server it lies, such as `/some/where/`. */
  readonly path?: string;
  /** With the headers that give a page shared memory. */
  readonly isolated?: boolean;
  /** Pages of other origins may ask, as they may a model hub. */
  readonly forAll?: boolean;
  /** Files that come in twenty pieces, with this many milliseconds between them. */
  readonly slow?: { readonly files: RegExp; readonly pause: number } | undefined;
}

/**
 * Serves a folder as the plainest of servers does: whole files with their types, no ranges.
 */
export async function serveFolder(
  folder: string,
  { path = '/', isolated = false, forAll = false, slow }: ServeOptions = {},
): Promise<StaticSite> {
  const more = {
    ...(isolated && {
      'cross-origin-opener-policy': 'same-origin',
      'cross-origin-embedder-policy': 'require-corp',
    }),
    ...(forAll && { 'access-control-allow-origin': '*', 'access-control-allow-headers': '*' }),
  };
  const server = createServer(async (request, response) => {
    if (request.method === 'OPTIONS') return void response.writeHead(204, more).end();
    const { pathname } = new URL(request.url ?? '/', 'http://localhost');
    const inside = normalize(pathname.slice(path.length)).replace(/^\.$/, '') || 'index.html';
    try {
      if (!pathname.startsWith(path) || inside.startsWith('..')) throw new Error('outside');
      const body = await readFile(join(folder, inside));
      response.writeHead(200, {
        'content-type': types[extname(inside)] ?? 'application/octet-stream',
        'content-length': body.length,
        ...more,
      });
      if (request.method === 'HEAD') return void response.end();
      const step = slow?.files.test(inside) ? Math.ceil(body.length / 20) : body.length;
      for (let at = 0; at < body.length && !response.destroyed; at += step) {
        if (at > 0) await setTimeout(slow?.pause);
        response.write(body.subarray(at, at + step));
      }
      response.end();
    } catch {
      response.writeHead(404, more).end('not found');
    }
  });
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  const where = server.address();
  if (where === null || typeof where === 'string') throw new Error('no port');
  return {
    url: `http://127.0.0.1:${where.port}${path}`,
    async close() {
      server.closeAllConnections();
      await new Promise((resolve) => server.close(resolve));
    },
  };
}
