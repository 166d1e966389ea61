/** A worker, in Node or in a page. */
export interface SpawnedWorker {
  post(message: unknown, transfer?: ArrayBuffer[]): void;
  /** Whether the process stays alive for it. Pages do not care. */
  keepAlive(keep: boolean): void;
  /** Ends it, whatever it does. */
  end(): Promise<void>;
}

/** What a worker's owner is told. */
export interface WorkerEvents {
  message(message: unknown): void;
  /** It threw, or ended unasked. */
  failed(reason: string): void;
}

/**
 * Starts a worker from the text of its program: no file has to be found, so it works from sources, from a
 * package and under any bundler. Pages with a content security policy must allow `worker-src blob:`.
 */
export async function spawn(script: string, events: WorkerEvents): Promise<SpawnedWorker> {
  return isNode() ? spawnInNode(script, events) : spawnInPage(script, events);
}

/** True in Node, and in what imitates it, which has worker threads too. */
export function isNode(): boolean {
  return typeof globalThis.process?.versions?.node === 'string';
}

async function spawnInNode(script: string, events: WorkerEvents): Promise<SpawnedWorker> {
  const { Worker } = await import('node:worker_threads');
  // Without the options of this process, such as a loader of TypeScript, it starts faster.
  const worker = new Worker(script, { eval: true, execArgv: [], env: {}, name: 'rwkv-js wasm' });
  let ending = false;
  worker.on('message', (message) => events.message(message));
  worker.on('error', (error) => events.failed(String(error)));
  worker.on('exit', () => {
    if (!ending) events.failed('it has ended');
  });
  worker.unref();
  return {
    post: (message, transfer) => worker.postMessage(message, transfer),
    keepAlive: (keep) => (keep ? worker.ref() : worker.unref()),
    async end() {
      ending = true;
      await worker.terminate();
    },
  };
}

function spawnInPage(script: string, events: WorkerEvents): SpawnedWorker {
  const url = URL.createObjectURL(new Blob([script], { type: 'text/javascript' }));
  const worker = new Worker(url, { name: 'rwkv-js wasm' });
  worker.addEventListener('message', ({ data }) => events.message(data));
  worker.addEventListener('error', (event) => events.failed(event.message || 'it did not start'));
  return {
    post: (message, transfer = []) => worker.postMessage(message, transfer),
    keepAlive: () => undefined,
    async end() {
      worker.terminate();
      URL.revokeObjectURL(url);
    },
  };
}
