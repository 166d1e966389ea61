import {
  describeBrowser,
  openPage,
  softwareWebGpu,
  type OpenPageOptions,
} from '@rwkv-js/browser-testing';
import { stories } from '@rwkv-js/stories';
import { expect, test } from 'vitest';

/** Where the embedded model lies for a bundle at the root. */
const weights = '/data/model-q8.safetensors';
const vocabulary = '/data/vocab.txt';

const open = (options: OpenPageOptions = {}) =>
  openPage<typeof import('./browser-page.ts')>(new URL('./browser-page.ts', import.meta.url), {
    files: { [weights]: stories.weights, [vocabulary]: stories.vocabulary },
    ...options,
  });

describeBrowser('loadModel in a page', () => {
  test.each([
    ['one thread', false],
    ['the threads', true],
  ] as const)('tells a story on %s of WASM, and again without a network', async (_, isolated) => {
    const page = await open({ isolated });
    const first = await page.call('tellStory', 'wasm');
    expect(first.text).toMatch(/^, there was a/);
    expect(first.again).toBe(first.text);
    const loaded = first.progress.map(({ loadedBytes }) => loadedBytes);
    expect(loaded).toEqual([...loaded].sort((a, b) => a - b));
    expect(first.progress.at(-1)).toMatchObject({ fromCache: false });
    expect([...(await page.call('cached'))].sort()).toEqual([weights, vocabulary]);

    await page.context.setOffline(true);
    const second = await page.call('tellStory', 'wasm');
    expect(second.text).toBe(first.text);
    expect(second.progress.at(-1)).toMatchObject({ fromCache: true });
  });

  test('tells a story on WebGPU', { timeout: 120_000 }, async () => {
    const page = await open({ flags: softwareWebGpu });
    // As short as can be: the software driver takes most of a second for a token.
    const options = { beginning: 'Tom', maxTokens: 2 };
    const { text, again, device } = await page.call('tellStory', 'webgpu', options);
    expect({ device, again }).toEqual({ device: 'webgpu', again: text });
    expect(text).toBe((await page.call('tellStory', 'wasm', options)).text);
  });

  test('takes a File and an address alike', async () => {
    const page = await open();
    const text = await page.call('tellFromFile', weights, vocabulary);
    expect(text).not.toBe('');
    expect(await page.call('tellFromAddress', weights, vocabulary)).toBe(text);
  });

  test('says in words that a page has no WebGPU', async () => {
    const page = await open();
    expect(await page.call('refusal', 'webgpu')).toMatch(/DeviceError: device webgpu cannot be/);
  });
});
