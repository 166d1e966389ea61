/** What page.test.ts calls in a page: conformance, and a long prompt in a worker beside a page that is alive. */
import { openCpu } from '@rwkv-js/core';
import { LanguageModel, rwkv7Entries } from '@rwkv-js/language';
import { openWebGpu } from '@rwkv-js/webgpu';
import { conformanceCases } from '../../packages/testing/src/conformance/cases.ts';
import { firstDifference, runCase } from '../../packages/testing/src/conformance/run-case.ts';
import { randomWeights } from '../../packages/testing/src/random-weights.ts';

/** Runs every `step`-th conformance case and gives the adapter, how many were run, and what was wrong. */
export async function conformance(step: number): Promise<{
  readonly adapter: string;
  readonly cases: number;
  readonly wrong: readonly string[];
}> {
  await using device = await openWebGpu();
  await using oracle = openCpu({ precision: 'f64' });
  const chosen = conformanceCases.filter((_, i) => i % step === 0);
  const wrong: string[] = [];
  for (const one of chosen) {
    const difference = firstDifference(one, await runCase(device, one), await runCase(oracle, one));
    if (difference !== undefined) wrong.push(`${one.op}: ${one.name}: ${difference}`);
  }
  return { adapter: device.info.description, cases: chosen.length, wrong };
}

/** What a page felt while a worker read. */
export interface Felt {
  /** Milliseconds of the reading. */
  readonly took: number;
  /** Milliseconds between one animation frame and the next, the longest. */
  readonly longestFrame: number;
  readonly frames: number;
  /** Milliseconds of the tasks over 50 ms that the page's own thread had. */
  readonly longTasks: readonly number[];
}

/** Has a worker read a prompt with a small model of random weights on WebGPU. */
export async function readInWorker(tokens: number): Promise<Felt> {
  const worker = new Worker('/bundle.js', { type: 'module' });
  const answer = (): Promise<unknown> =>
    new Promise((resolve, reject) => {
      worker.addEventListener('message', ({ data }) => resolve(data), { once: true });
      worker.addEventListener('error', ({ message }) => reject(new Error(message)), { once: true });
    });
  const ready = answer();
  worker.postMessage({ kind: 'load' });
  await ready;

  const longTasks: number[] = [];
  const observer = new PerformanceObserver((list) => {
    longTasks.push(...list.getEntries().map(({ duration }) => duration));
  });
  observer.observe({ type: 'longtask' });
  const times: number[] = [];
  let reading = true;
  const frame = (now: number): void => {
    times.push(now);
    if (reading) requestAnimationFrame(frame);
  };
  requestAnimationFrame(frame);
  const started = performance.now();
  const read = answer();
  worker.postMessage({ kind: 'read', tokens });
  await read;
  const took = performance.now() - started;
  reading = false;
  // Entries come with a later turn than the task that they tell of.
  await new Promise((resolve) => setTimeout(resolve, 100));
  observer.disconnect();
  worker.terminate();
  const between = times.slice(1).map((time, i) => time - times[i]!);
  return { took, longestFrame: Math.max(0, ...between), frames: times.length, longTasks };
}

// The same bundle is the worker.
if (typeof document === 'undefined') {
  const shape = {
    layers: 2,
    width: 64,
    feedForwardWidth: 128,
    headSize: 32,
    vocabularySize: 100,
    ranks: { w: 32, a: 32, v: 32, g: 32 },
  };
  let model: LanguageModel | undefined;
  const read = async (tokens: number): Promise<void> => {
    const session = model!.session();
    await session.feed(Array.from({ length: tokens }, (_, i) => (i * 37) % shape.vocabularySize));
    await session.logits();
    await session.dispose();
  };
  globalThis.addEventListener('message', async ({ data }: MessageEvent) => {
    const { kind, tokens } = data as { kind: 'load' | 'read'; tokens?: number };
    if (kind === 'load') {
      const source = randomWeights(rwkv7Entries(shape, 'f32'));
      model = await LanguageModel.load(source, { device: await openWebGpu() });
    } else await read(tokens!);
    (globalThis as unknown as { postMessage(message: string): void }).postMessage('done');
  });
}
