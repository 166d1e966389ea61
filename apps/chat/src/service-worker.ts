/**
 * Keeps the page for visits without a network, and lends it the headers that give it several threads where
 * its server sends none. Weights are not its business: they are in the origin's private file system.
 *
 * The build puts the page's files and the version of them all in the place of the names below.
 */
declare const pageFiles: readonly string[];
declare const pageVersion: string;

/** What of a service worker's world is used here; TypeScript has its types and those of a page apart. */
interface ServiceWorkerWorld {
  readonly registration: { readonly scope: string };
  readonly clients: { claim(): Promise<void> };
  skipWaiting(): Promise<void>;
  addEventListener(type: 'install' | 'activate', handle: (event: LastingEvent) => void): void;
  addEventListener(type: 'message', handle: (event: MessageEvent) => void): void;
  addEventListener(type: 'fetch', handle: (event: FetchEvent) => void): void;
}
interface LastingEvent extends Event {
  waitUntil(work: Promise<unknown>): void;
}
interface FetchEvent extends Event {
  readonly request: Request;
  respondWith(response: Promise<Response>): void;
}

const world = globalThis as unknown as ServiceWorkerWorld;
const { scope } = world.registration;

/** Other pages of the same origin have other scopes. */
const prefix = `rwkv-chat ${scope} `;
const cacheName = prefix + pageVersion;

world.addEventListener('install', (event) => {
  event.waitUntil(
    caches.open(cacheName).then((cache) =>
      // Past the browser's own cache, which may have files of an older version.
      cache.addAll(pageFiles.map((file) => new Request(new URL(file, scope), { cache: 'reload' }))),
    ),
  );
});

world.addEventListener('activate', (event) => {
  event.waitUntil(
    Promise.all([
      caches
        .keys()
        .then((names) =>
          Promise.all(
            names
              .filter((name) => name.startsWith(prefix) && name !== cacheName)
              .map((name) => caches.delete(name)),
          ),
        ),
      world.clients.claim(),
    ]),
  );
});

world.addEventListener('message', ({ data }) => {
  if (data === 'take over') void world.skipWaiting();
});

world.addEventListener('fetch', (event) => {
  const { request } = event;
  if (request.method !== 'GET' || !request.url.startsWith(scope)) return;
  event.respondWith(answer(request));
});

async function answer(request: Request): Promise<Response> {
  const cache = await caches.open(cacheName);
  const asked = request.mode === 'navigate' ? new URL('index.html', scope) : request;
  const cached = await cache.match(asked, { ignoreSearch: true });
  return cached ? isolated(cached) : fetch(request);
}

/** With the headers that give a page shared memory, and with it several threads. */
function isolated(response: Response): Response {
  const headers = new Headers(response.headers);
  headers.set('cross-origin-opener-policy', 'same-origin');
  headers.set('cross-origin-embedder-policy', 'require-corp');
  headers.set('cross-origin-resource-policy', 'same-origin');
  const { status, statusText } = response;
  return new Response(response.body, { status, statusText, headers });
}
