import { readdir, readFile } from 'node:fs/promises';
import { createRequire } from 'node:module';
import { join } from 'node:path';
import { gzipSync } from 'node:zlib';
import { describeBrowser } from '@rwkv-js/browser-testing';
import type { AxeResults } from 'axe-core';
import { expect, test } from 'vitest';
import { begun, openChat, rambling, useChat, type Chat } from './open-chat.ts';

const folder = useChat();

/** Bytes of compressed script that a first visit may load; weights are not script. */
const scriptBudget = 300_000;

test('all script of the page, kernels included, is within its budget', async () => {
  const inside = [folder(), join(folder(), 'assets')];
  const files = await Promise.all(
    inside.map(async (one) => (await readdir(one)).map((name) => join(one, name))),
  );
  const scripts = files.flat().filter((name) => name.endsWith('.js'));
  expect(scripts.length).toBeGreaterThan(2);
  const sizes = await Promise.all(
    scripts.map(async (name) => gzipSync(await readFile(name), { level: 9 }).length),
  );
  const total = sizes.reduce((sum, bytes) => sum + bytes, 0);
  expect(total).toBeLessThan(scriptBudget);
});

test('no script of the page needs a module of Node to start', async () => {
  const assets = join(folder(), 'assets');
  for (const name of await readdir(assets)) {
    if (!name.endsWith('.js')) continue;
    expect(await readFile(join(assets, name), 'utf8')).not.toMatch(/^import[^(].*["'`]node:/m);
  }
});

/** What axe finds that is serious or worse. */
async function seriousProblems({ page }: Chat): Promise<readonly string[]> {
  await page.addScriptTag({ path: createRequire(import.meta.url).resolve('axe-core/axe.min.js') });
  const { violations } = (await page.evaluate('axe.run()')) as AxeResults;
  return violations
    .filter(({ impact }) => impact === 'serious' || impact === 'critical')
    .flatMap(({ id, nodes }) =>
      nodes.map(({ html, failureSummary }) => `${id}: ${html} ${failureSummary}`),
    );
}

/** Whether anything is wider than the screen. */
const scrollsSideways = ({ page }: Chat): Promise<boolean> =>
  page.evaluate(() => document.documentElement.scrollWidth > innerWidth);

describeBrowser('the page is for everybody', () => {
  test.each([
    ['desktop', { width: 1280, height: 800 }, false],
    ['phone', { width: 360, height: 740 }, true],
  ] as const)(
    '%s: nothing serious in the eyes of axe, nothing too wide',
    async (name, viewport, dark) => {
      const chat = await openChat({ viewport, dark, settings: { device: 'wasm', maxTokens: 30 } });
      const { page } = chat;
      const look = async (what: string): Promise<void> => {
        await chat.picture(`${name}-${what}`);
        expect(await seriousProblems(chat), what).toEqual([]);
        expect(await scrollsSideways(chat), what).toBe(false);
      };
      await look('choice');
      await chat.startStoryteller();
      await look('empty');
      await chat.send('Once upon a time');
      await chat.settled();
      await page.getByRole('button', { name: 'Fork here' }).click();
      await chat.send('Then', 1);
      await chat.settled();
      await look('fork');
      const panel = page.getByRole('complementary');
      if (!(await panel.isVisible())) await page.getByTitle('Meter, device and sampling').click();
      await page.getByRole('combobox', { name: 'Format' }).selectOption('g1');
      await look('panel');
      if (viewport.width < 600) await page.getByRole('button', { name: 'Close the panel' }).click();
      await chat.send('What is a fox?', 1);
      await chat.settled();
      await chat.drop({ 'page.pth': '<html></html>' });
      await page.getByRole('alert').waitFor();
      await look('chat');
    },
  );

  test('everything can be done from the keyboard', async () => {
    const settings = { device: 'wasm', maxTokens: 5000, sampling: rambling };
    const chat = await openChat({ settings });
    const { page } = chat;
    const focused = (): Promise<string> =>
      page.evaluate(() => {
        const element = document.activeElement;
        return element?.getAttribute('aria-label') ?? element?.textContent?.trim() ?? '';
      });
    const tabTo = async (label: string): Promise<void> => {
      for (let presses = 0; presses < 40 && (await focused()) !== label; presses++) {
        await page.keyboard.press('Tab');
      }
      expect(await focused()).toBe(label);
    };
    await tabTo('Start the storyteller');
    await page.keyboard.press('Enter');
    await page.locator('.suggestion:enabled').first().waitFor();
    await tabTo('Text to go on from');
    await page.keyboard.type('Once upon a time');
    await page.keyboard.press('Enter');
    await expect.poll(() => chat.words()).toMatch(begun);
    const status = page.getByRole('status').last();
    expect(await status.innerText()).toBe('Writing');
    await page.keyboard.press('Escape');
    await expect.poll(() => status.innerText()).toBe('Stopped');
    await page.keyboard.press('Shift+Tab');
    await tabTo('Fork here');
    await page.keyboard.press('Enter');
    await expect.poll(() => page.locator('.column').count()).toBe(2);
  });

  test('while a text is written the page never stops for more than 50 ms', async () => {
    const chat = await openChat({ settings: { device: 'wasm', maxTokens: 200 } });
    const { page } = chat;
    await chat.startStoryteller();
    await page.evaluate(() => {
      const long: number[] = [];
      Object.assign(globalThis, { long });
      new PerformanceObserver((list) => {
        for (const { duration } of list.getEntries()) long.push(duration);
      }).observe({ type: 'longtask' });
    });
    // Another program can take the processor away in the middle of a task, so a text without any counts.
    const counts: number[] = [];
    for (let tries = 0; tries < 3 && counts.at(-1) !== 0; tries++) {
      await page.evaluate('long.length = 0');
      await chat.send('Once upon a time');
      await chat.settled();
      counts.push(await page.evaluate<number>('long.length'));
    }
    expect(counts).toContain(0);
  });
});
