import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { chromium, type Browser, type BrowserContext } from 'playwright-core';
import { afterAll, onTestFinished } from 'vitest';
import { chromiumPath } from './describe-browser.ts';

export interface OpenBrowserOptions {
  /** Switches for Chromium beyond those that every test needs, such as `--enable-unsafe-webgpu`. */
  readonly flags?: readonly string[] | undefined;
  /** A private window, which keeps nothing. */
  readonly incognito?: boolean | undefined;
  /** The host name that pages are under; one that is not localhost has no secure context. */
  readonly host?: string | undefined;
}

const switchesOf = ({ flags = [], incognito = false, host = '127.0.0.1' }: OpenBrowserOptions) => [
  // As root in a container there is no sandbox, and /dev/shm is small.
  '--no-sandbox',
  '--disable-dev-shm-usage',
  `--host-resolver-rules=MAP ${host} 127.0.0.1`,
  ...(incognito ? ['--incognito'] : []),
  ...flags,
];

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
  const profile = await mkdtemp(join(tmpdir(), 'rwkv-page-'));
  const context = await chromium.launchPersistentContext(profile, {
    executablePath: chromiumPath,
    args: switchesOf(options),
  });
  onTestFinished(async () => {
    await context.close();
    await rm(profile, { recursive: true, force: true, maxRetries: 5 });
  });
  return context;
}
