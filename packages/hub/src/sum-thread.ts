import type { RunningSum } from './running-sum.ts';

/**
 * What the thread runs, as text: a second file would have to be found by every bundler. It answers each
 * `end` with the position it has come to, and `null` with the sum.
 */
const source = `
const { parentPort, workerData } = require('node:worker_threads');
const { createHash } = require('node:crypto');
const { openSync, readSync } = require('node:fs');
const file = openSync(workerData, 'r');
const hash = createHash('sha256');
const buffer = new Uint8Array(512 * 1024);
let position = 0;
parentPort.on('message', (end) => {
  if (end === null) return parentPort.postMessage(hash.digest('hex'));
  while (position < end) {
    const length = Math.min(buffer.length, end - position);
    const got = readSync(file, buffer, 0, length, position);
    if (got === 0) break;
    hash.update(buffer.subarray(0, got));
    position += got;
  }
  parentPort.postMessage(position);
});
`;

/**
 * The sum of a file on the disk, read and taken on a thread of Node's, so that it costs a download nothing
 * where there is a second core.
 *
 * @throws Error where no thread can be had.
 */
export async function sumOnThread(path: string): Promise<RunningSum> {
  const { Worker } = await import('node:worker_threads');
  const worker = new Worker(source, {
    eval: true,
    workerData: path,
    // None of what this process was started with concerns the thread, and it needs little memory.
    execArgv: [],
    env: {},
    resourceLimits: { maxOldGenerationSizeMb: 16, maxYoungGenerationSizeMb: 1 },
  });
  worker.unref();
  let waiting: { resolve(answer: unknown): void; reject(error: unknown): void } | undefined;
  let failure: unknown;
  const fail = (error: unknown): void => {
    failure ??= error;
    waiting?.reject(failure);
  };
  worker.on('message', (answer: unknown) => waiting?.resolve(answer));
  worker.on('error', fail);
  worker.on('exit', () => fail(new Error('the thread that takes the sum has ended')));

  async function ask(end: number | null): Promise<unknown> {
    if (failure !== undefined) throw failure;
    worker.ref();
    try {
      return await new Promise((resolve, reject) => {
        waiting = { resolve, reject };
        // oxlint-disable-next-line unicorn/require-post-message-target-origin -- a thread's has no origin
        worker.postMessage(end);
      });
    } finally {
      waiting = undefined;
      worker.unref();
    }
  }

  return {
    async add(end, signal) {
      const position = await ask(end);
      signal.throwIfAborted();
      if (position !== end) throw new Error(`the file has ${String(position)} bytes of ${end}`);
    },
    digest: async () => String(await ask(null)),
    async close() {
      failure ??= new Error('closed');
      await worker.terminate();
    },
  };
}
