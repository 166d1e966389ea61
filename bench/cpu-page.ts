import { launchPage } from '@rwkv-js/browser-testing/launch-page';
import { LanguageModel, weightsIn } from '@rwkv-js/language';
import { openTokenizer, openWasm, openWeights, stories, writeGguf, writeWeights } from 'rwkv-js';
import { existsSync } from 'node:fs';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { pathToFileURL } from 'node:url';
import type { PageRates } from './page-rates.ts';
import { formatTable, spread } from './table.ts';

const rounds = 3;
const tokens = 200;

/** Where the peer's files lie once they are installed. */
const wllama = new URL('peers/node_modules/@wllama/wllama/esm/', import.meta.url);

const formats = { f16: 'F16', q8: 'Q8_0', q4: 'Q4_0' } as const;

/**
 * The stories model in headless Chromium, on one thread and two, beside Node on one thread and beside wllama
 * (llama.cpp in WebAssembly) with the same weights in the same page: tokens a second that one sequence writes, that
 * sixteen write together, and that are read of a prompt of some 512.
 *
 *     npm run bench -- cpu-page [q8]
 */
export async function benchCpuPage(only: string): Promise<void> {
  const hasPeer = existsSync(new URL('index.js', wllama));
  if (!hasPeer) {
    console.error(
      'wllama is not installed: npm run bench -- peers installs what to compare with\n',
    );
  }
  const folder = await mkdtemp(join(tmpdir(), 'rwkv-page-'));
  try {
    for (const [format, type] of Object.entries(formats) as ['q8', 'Q8_0'][]) {
      if (!format.includes(only)) continue;
      await benchFormat(folder, { format, type, hasPeer });
    }
  } finally {
    await rm(folder, { recursive: true });
  }
}

async function benchFormat(
  folder: string,
  { format, type, hasPeer }: { format: keyof typeof formats; type: 'Q8_0'; hasPeer: boolean },
): Promise<void> {
  const [weights, gguf] = [join(folder, 'model.safetensors'), join(folder, 'model.gguf')];
  const source = weightsIn(format, weightsIn('f16', await openWeights(stories.weights)));
  const tokenizer = await openTokenizer(stories.vocabulary);
  const vocabulary = Array.from({ length: tokenizer.vocabularySize }, (_, id) => {
    const bytes = tokenizer.tokenBytes(id);
    return bytes.length === 0 ? undefined : bytes;
  });
  await writeWeights(weights, source);
  await writeGguf(gguf, source, { type, vocabulary });
  await source.close();

  const page = await launchPage<typeof import('./cpu-page-page.ts')>(
    new URL('./cpu-page-page.ts', import.meta.url),
    {
      isolated: true,
      files: {
        '/model.safetensors': pathToFileURL(weights),
        '/model.gguf': pathToFileURL(gguf),
        '/wllama/index.js': new URL('index.js', wllama),
        '/wllama/wasm/wllama.wasm': new URL('wasm/wllama.wasm', wllama),
      },
    },
  );
  const rates = new Map<string, PageRates[]>();
  const took = (name: string, rate: PageRates): void => {
    rates.set(name, [...(rates.get(name) ?? []), rate]);
  };
  let longest = 0;
  for (let round = 0; round < rounds; round++) {
    took('Node, one thread', { one: await inNode(weights), many: NaN, prompt: NaN });
    for (const threads of [1, 2]) {
      const name = threads === 1 ? 'one thread' : `${threads} threads`;
      took(`page, ${name}`, await page.call('ours', '/model.safetensors', threads, tokens));
      if (hasPeer) took(`wllama, ${name}`, await page.call('wllama', threads, tokens));
      const { longTasks } = await page.call('write', '/model.safetensors', threads, 2 * tokens);
      longest = Math.max(longest, ...longTasks);
    }
  }
  await page.close();
  const rows = [...rates].map(([name, found]) => [
    name,
    ...(['one', 'many', 'prompt'] as const).flatMap((which) => {
      const { median, least, most } = spread(found.map((rate) => rate[which]));
      if (Number.isNaN(median)) return ['', ''];
      return [median.toFixed(0), `${least.toFixed(0)}–${most.toFixed(0)}`];
    }),
  ]);
  const heading = ['decode 1', 'decode 16', 'prompt 512'].flatMap((title) => [title, '']);
  console.log(formatTable([`stories ${format}, tokens a second`, ...heading], rows));
  console.log(
    longest > 0
      ? `longest task of the page's own thread: ${longest.toFixed(0)} ms\n`
      : "no task of the page's own thread took 50 ms\n",
  );
}

async function inNode(path: string): Promise<number> {
  await using device = await openWasm({ threads: 1 });
  const source = await openWeights(path);
  await using model = await LanguageModel.load(source, { device });
  await source.close();
  const session = model.session();
  await session.feed([1, 2, 3]);
  let rate = 0;
  // The first warms up.
  for (let half = 0; half < 2; half++) {
    const start = performance.now();
    await session.generate({ maxTokens: tokens, temperature: 0, stopTokens: [] }).text();
    rate = (1000 * tokens) / (performance.now() - start);
  }
  return rate;
}
