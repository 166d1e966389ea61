import { chromium, type Browser, type BrowserContext } from 'playwright-core';
import { afterAll, onTestFinished } from 'vitest';
import {
  chromiumPath,
  launchBrowser,
  switchesOf,
  type OpenBrowserOptions,
} from './launch-browser.ts';

/**
 * Headless Chromium for the tests of a file: it starts once. Each call of what this gives is a window
 * whose storage is its own, and ends with the test.
 */
export function useBrowser(options: OpenBrowserOptions = {}): () => Promise<BrowserContext> {
  let browser: Promise<Browser> | undefined;
  afterAll(async () => (await browser)?.close());
  return async () => {
    browser ??= chromium.launch({ executablePath: chromiumPath, args: switchesOf(options) });
    const context = await (await browser).newContext();
    onTestFinished(() => context.close());
    return context;
  };
}

/** Headless Chromium with a profile of its own, which ends with the test. */
export async function openBrowser(options: OpenBrowserOptions = {}): Promise<BrowserContext> {
  const { context, close } = await launchBrowser(options);
  onTestFinished(close);
  return context;
}
