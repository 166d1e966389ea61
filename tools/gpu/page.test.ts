import { describeBrowser, openPage, softwareWebGpu } from '@rwkv-js/browser-testing';
import { expect, test } from 'vitest';

/** Of the conformance cases a page runs one in so many; .ci/run runs all of them on the same driver in Node. */
const step = 8;

const open = () =>
  openPage<typeof import('./page.ts')>(new URL('./page.ts', import.meta.url), {
    flags: softwareWebGpu,
  });

describeBrowser('WebGPU in a page', () => {
  test('agrees with the reference, case by case', { timeout: 180_000 }, async () => {
    const page = await open();
    const { adapter, cases, wrong } = await page.call('conformance', step);
    expect(adapter).toMatch(/swiftshader/i);
    expect(cases).toBeGreaterThan(30);
    expect(wrong).toEqual([]);
  });

  test(
    'reads a prompt of 2,000 tokens in a worker while the page draws its frames',
    // A machine that is busy with something else makes long tasks of short ones.
    { timeout: 180_000, retry: 3 },
    async () => {
      const page = await open();
      const felt = await page.call('readInWorker', 2000);
      expect(felt.longTasks).toEqual([]);
      expect(felt.frames).toBeGreaterThan(felt.took / 200);
      expect(felt.longestFrame).toBeLessThan(1000);
    },
  );
});
