import { readFile } from 'node:fs/promises';
import { createServer, type Server } from 'node:http';
import { fileURLToPath } from 'node:url';
import { build } from 'esbuild';
import type { BrowserContext, Page } from 'playwright-core';
import { launchBrowser, type OpenBrowserOptions } from './launch-browser.ts';

export { softwareWebGpu } from './launch-browser.ts';

export interface OpenPageOptions extends OpenBrowserOptions {
  /** With the headers that give a page shared memory and exact clocks (COOP, COEP). */
  readonly isolated?: boolean | undefined;
  /**
   * Files that the module finds by `new URL('../data/file', import.meta.url)`, by the path that this is
   * for a module at the root: `{ '/data/file': new URL('./data/file', import.meta.url) }`.
   */
  readonly files?: Readonly<Record<string, URL>> | undefined;
}

/** A module in a page of its own browser. */
export interface TestPage<Exports> {
  readonly origin: string;
  readonly page: Page;
  readonly context: BrowserContext;
  /** What the console said. */
  readonly console: readonly string[];
  /** Calls a function that the module exports, with plain data, and gives what it gives. */
  call<Name extends FunctionNames<Exports>>(
    name: Name,
    ...args: ParametersOf<Exports[Name]>
  ): Promise<ResultOf<Exports[Name]>>;
  /** Loads the page anew, and the module with it. */
  reload(): Promise<void>;
  /** Ends browser and server. */
  close(): Promise<void>;
}

type AnyFunction = (...args: never[]) => unknown;
type FunctionNames<T> = { [K in keyof T]: T[K] extends AnyFunction ? K : never }[keyof T] & string;
type ParametersOf<T> = T extends (...args: infer P) => unknown ? P : never;
type ResultOf<T> = T extends (...args: never[]) => infer R ? Awaited<R> : never;

/**
 * Serves a module, bundled from its sources, and opens it in headless Chromium.
 *
 * @param entry the module, such as `new URL('./page.ts', import.meta.url)`; the type parameter is what
 * it exports: `launchPage<typeof import('./page.ts')>(…)`
 */
export async function launchPage<Exports>(
  entry: URL,
  {
    isolated = false,
    incognito = false,
    flags = [],
    host = '127.0.0.1',
    files = {},
  }: OpenPageOptions = {},
): Promise<TestPage<Exports>> {
  const bundle = await bundled(entry);
  const headers: Record<string, string> = isolated
    ? {
        'cross-origin-opener-policy': 'same-origin',
        'cross-origin-embedder-policy': 'require-corp',
      }
    : {};
  const { server, port } = await serve(bundle, files, headers);
  const origin = `http://${host}:${port}`;
  const { context, close } = await launchBrowser({ incognito, flags, host });
  const page = await context.newPage();
  const said: string[] = [];
  page.on('console', (message) => said.push(message.text()));
  const load = async (): Promise<void> => {
    await page.goto(origin);
    await page.waitForFunction('globalThis.tested !== undefined');
  };
  await load();
  return {
    origin,
    page,
    context,
    console: said,
    reload: load,
    async call(name, ...args) {
      const called = `Promise.resolve(globalThis.tested[${JSON.stringify(name)}](...${JSON.stringify(args)}))`;
      return (await page.evaluate(called)) as ResultOf<Exports[typeof name]>;
    },
    async close() {
      await close();
      server.closeAllConnections();
      await new Promise((resolve) => server.close(resolve));
    },
  };
}

async function bundled(entry: URL): Promise<string> {
  const { outputFiles } = await build({
    stdin: {
      contents: `export * from ${JSON.stringify(fileURLToPath(entry))}`,
      resolveDir: fileURLToPath(new URL('.', entry)),
    },
    bundle: true,
    write: false,
    format: 'esm',
    target: 'es2022',
    conditions: ['development', 'browser'],
    external: ['node:*'],
    sourcemap: 'inline',
  });
  return outputFiles[0]!.text;
}

const html =
  '<!doctype html><script type="module">' +
  "import * as tested from '/bundle.js'; globalThis.tested = tested</script>";

/** Modules and WebAssembly are taken under their own types alone. */
function typeOf({ pathname }: URL): string {
  if (pathname.endsWith('.js')) return 'text/javascript; charset=utf-8';
  return pathname.endsWith('.wasm') ? 'application/wasm' : 'application/octet-stream';
}

async function serve(
  bundle: string,
  files: Readonly<Record<string, URL>>,
  headers: Record<string, string>,
): Promise<{ readonly server: Server; readonly port: number }> {
  const server = createServer(async (request, response) => {
    const file = files[request.url ?? ''];
    const answers: Record<string, [string, string | Uint8Array]> = {
      '/': ['text/html; charset=utf-8', html],
      '/bundle.js': ['text/javascript; charset=utf-8', bundle],
      ...(file && { [request.url!]: [typeOf(file), await readFile(file)] }),
    };
    const [type, body] = answers[request.url ?? ''] ?? ['', ''];
    response.writeHead(type ? 200 : 404, {
      'content-type': type,
      'content-length': Buffer.byteLength(body),
      ...headers,
    });
    response.end(request.method === 'HEAD' ? undefined : body);
  });
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  const where = server.address();
  if (where === null || typeof where === 'string') throw new Error('no port');
  return { server, port: where.port };
}
