import { describeBrowser, openPage } from '@rwkv-js/browser-testing';
import { openWasm } from '@rwkv-js/wasm';
import { openWeights } from '@rwkv-js/weights';
import { expect, test } from 'vitest';
import { LanguageModel } from '../src/index.ts';
import { greedy } from './page.ts';

const model = new URL('../../stories/data/model-q8.safetensors', import.meta.url);
const count = 300;

async function writtenInNode(): Promise<readonly number[]> {
  const source = await openWeights(model);
  await using device = await openWasm({ threads: 1 });
  await using loaded = await LanguageModel.load(source, { device });
  await source.close();
  const session = loaded.session();
  await session.feed([1, 2, 3]);
  const generation = session.generate({ ...greedy, maxTokens: count });
  await generation.text();
  return generation.tokens;
}

describeBrowser('the stories model in a page', () => {
  test.each([
    ['one thread', 1, false],
    ['one thread and shared memory', 1, true],
    ['two threads', 2, true],
  ] as const)(
    'on %s writes what it writes in Node, and the page stays responsive',
    // A machine that is busy with something else makes long tasks of short ones.
    { retry: 3 },
    async (_, threads, isolated) => {
      const page = await openPage<typeof import('./page.ts')>(
        new URL('./page.ts', import.meta.url),
        {
          isolated,
          files: { '/model.safetensors': model },
        },
      );
      const written = await page.call('write', '/model.safetensors', threads, count);
      expect(written.tokens).toEqual(await writtenInNode());
      expect(written.longTasks).toEqual([]);
      // Its own thread is free while the workers compute.
      expect(written.turns).toBeGreaterThan(10);
    },
  );
});
