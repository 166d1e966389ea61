/** The way to whoever started this worker: in Node and in pages it goes by different names. */
export interface Port {
  post(message: unknown, transfer?: ArrayBuffer[]): void;
  listen(take: (message: unknown) => void): void;
}

/** This worker's port. */
export function openPort(): Port {
  const node = globalThis.process?.getBuiltinModule?.('node:worker_threads')?.parentPort;
  if (node) {
    return {
      post: (message, transfer) => node.postMessage(message, transfer),
      listen: (take) => void node.on('message', take),
    };
  }
  const page = globalThis as unknown as {
    postMessage(message: unknown, transfer?: ArrayBuffer[]): void;
    addEventListener(kind: 'message', take: (event: { data: unknown }) => void): void;
  };
  return {
    post: (message, transfer = []) => page.postMessage(message, transfer),
    listen: (take) => page.addEventListener('message', ({ data }) => take(data)),
  };
}
