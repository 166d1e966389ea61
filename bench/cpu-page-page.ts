/** What the benchmark `cpu-page` calls in a page. */
import { LanguageModel } from '@rwkv-js/language';
import { openWasm, openWeights } from 'rwkv-js';
import type { PageRates } from './page-rates.ts';

export { write } from '../packages/language/test/page.ts';

/** Tokens of a prompt; sequences that write at once, and what each of them writes. */
const promptTokens = 512;
const sequences = 16;
const fewTokens = 24;

/** Tokens a second of our own; the first time of each warms up. */
export async function ours(path: string, threads: number, count: number): Promise<PageRates> {
  await using device = await openWasm({ threads });
  const source = await openWeights(await (await fetch(path)).blob());
  await using model = await LanguageModel.load(source, { device, slots: sequences });
  await source.close();
  const rates = { one: 0, many: 0, prompt: 0 };
  const prompt = Array.from({ length: promptTokens + 1 }, (_, i) => (i * 37) % 2048);
  for (let time = 0; time < 2; time++) {
    const sessions = Array.from({ length: sequences }, () => model.session());
    for (const session of sessions) await session.feed([1, 2, 3]);
    const write = (
      some: readonly (typeof sessions)[number][],
      maxTokens: number,
    ): Promise<unknown> =>
      Promise.all(
        some.map((session) =>
          session.generate({ maxTokens, temperature: 0, stopTokens: [] }).text(),
        ),
      );
    rates.one = await rateOf(count, () => write(sessions.slice(0, 1), count));
    rates.many = await rateOf(sequences * fewTokens, () => write(sessions, fewTokens));
    rates.prompt = await rateOf(promptTokens, () => sessions[0]!.feed(prompt));
    for (const session of sessions) await session.dispose();
  }
  return rates;
}

async function rateOf(tokens: number, work: () => Promise<unknown>): Promise<number> {
  const start = performance.now();
  await work();
  return (1000 * tokens) / (performance.now() - start);
}

/** What of wllama is used. */
interface Wllama {
  loadModel(
    files: readonly Blob[],
    options: { n_ctx: number; n_threads: number; n_parallel: number; n_batch: number },
  ): Promise<void>;
  createCompletion(options: {
    prompt: string;
    max_tokens: number;
    temperature: number;
    ignore_eos: boolean;
    cache_prompt: boolean;
  }): Promise<{
    readonly timings?: {
      readonly prompt_n: number;
      readonly prompt_per_second: number;
      readonly predicted_per_second: number;
    };
  }>;
  exit(): Promise<void>;
}

/** Tokens a second of wllama: of one sequence as it measures them itself, of several together by the clock. */
export async function wllama(threads: number, count: number): Promise<PageRates> {
  const address = '/wllama/index.js';
  const module = (await import(address)) as {
    Wllama: new (paths: { default: string }, options: object) => Wllama;
  };
  const engine = new module.Wllama(
    { default: new URL('/wllama/wasm/wllama.wasm', location.href).href },
    { suppressNativeLog: true },
  );
  const model = await (await fetch('/model.gguf')).blob();
  const options = {
    n_ctx: sequences * 1024,
    n_threads: threads,
    n_parallel: sequences,
    n_batch: promptTokens,
  };
  await engine.loadModel([model], options);
  const complete = async (prompt: string, tokens: number) => {
    const { timings } = await engine.createCompletion({
      prompt,
      max_tokens: tokens,
      temperature: 0,
      ignore_eos: true,
      cache_prompt: false,
    });
    if (!timings) throw new Error('wllama told no timings');
    return timings;
  };
  const { predicted_per_second: one } = await complete('Once upon a time', count);
  const many = await rateOf(sequences * fewTokens, () =>
    Promise.all(Array.from({ length: sequences }, (_, i) => complete(`Once ${i}`, fewTokens))),
  );
  // Letters of a story's kind; how many tokens they are, it tells.
  const { prompt_per_second: prompt } = await complete('and then the cat ran home '.repeat(85), 1);
  await engine.exit();
  return { one, many, prompt };
}
