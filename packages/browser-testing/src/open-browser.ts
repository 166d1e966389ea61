import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { chromium, type BrowserContext } from 'playwright-core';
import { onTestFinished } from 'vitest';
import { chromiumPath } from './describe-browser.ts';

export interface OpenBrowserOptions {
  /** Switches for Chromium beyond those that every test needs, such as `--enable-unsafe-webgpu`. */
  readonly flags?: readonly string[] | undefined;
  /** A private window, which keeps nothing. */
  readonly incognito?: boolean | undefined;
  /** The host name that pages are under; one that is not localhost has no secure context. */
  readonly host?: string | undefined;
}

/** Headless Chromium with a profile of its own, which ends with the test. */
export async function openBrowser({
  flags = [],
  incognito = false,
  host = '127.0.0.1',
}: OpenBrowserOptions = {}): Promise<BrowserContext> {
  const profile = await mkdtemp(join(tmpdir(), 'rwkv-page-'));
  const context = await chromium.launchPersistentContext(profile, {
    executablePath: chromiumPath,
    // As root in a container there is no sandbox, and /dev/shm is small.
    args: [
      '--no-sandbox',
      '--disable-dev-shm-usage',
      `--host-resolver-rules=MAP ${host} 127.0.0.1`,
      ...(incognito ? ['--incognito'] : []),
      ...flags,
    ],
  });
  onTestFinished(async () => {
    await context.close();
    await rm(profile, { recursive: true, force: true, maxRetries: 5 });
  });
  return context;
}
