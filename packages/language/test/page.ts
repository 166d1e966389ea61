/** What page.test.ts and the benchmark `cpu-page` call in a page. */
import { openWasm } from '@rwkv-js/wasm';
import { openWeights } from '@rwkv-js/weights';
import { LanguageModel } from '../src/index.ts';

export const greedy = { temperature: 0, presencePenalty: 0, frequencyPenalty: 0, stopTokens: [] };

/** How a page wrote, and what it felt of it. */
export interface Written {
  readonly tokens: readonly number[];
  /** Tokens a second of the second half. */
  readonly rate: number;
  /** Milliseconds of the tasks over 50 ms that the page's own thread had meanwhile. */
  readonly longTasks: readonly number[];
  /** Turns of the page's event loop meanwhile. */
  readonly turns: number;
}

/** Loads the model that is served as `path` and writes greedily; the first half warms up. */
export async function write(path: string, threads: number, count: number): Promise<Written> {
  await using device = await openWasm({ threads });
  const source = await openWeights(await (await fetch(path)).blob());
  await using model = await LanguageModel.load(source, { device });
  await source.close();
  const session = model.session();
  await session.feed([1, 2, 3]);

  const longTasks: number[] = [];
  const observer = new PerformanceObserver((list) => {
    longTasks.push(...list.getEntries().map(({ duration }) => duration));
  });
  observer.observe({ type: 'longtask' });
  let turns = 0;
  const timer = setInterval(() => turns++, 0);
  const tokens: number[] = [];
  let rate = 0;
  for (const half of [Math.floor(count / 2), Math.ceil(count / 2)]) {
    const start = performance.now();
    const generation = session.generate({ ...greedy, maxTokens: half });
    await generation.text();
    rate = (1000 * half) / (performance.now() - start);
    tokens.push(...generation.tokens);
  }
  clearInterval(timer);
  // Entries come with a later turn than the task that they tell of.
  await new Promise((resolve) => setTimeout(resolve, 100));
  observer.disconnect();
  return { tokens, rate, longTasks, turns };
}
