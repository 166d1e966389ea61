import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { chromium, type BrowserContext } from 'playwright-core';

/** The browser: `CHROMIUM`, or where Debian's package puts it. */
export const chromiumPath = process.env['CHROMIUM'] ?? '/usr/bin/chromium';

export interface OpenBrowserOptions {
  /** Switches for Chromium beyond those that every test needs, such as `--enable-unsafe-webgpu`. */
  readonly flags?: readonly string[] | undefined;
  /** A private window, which keeps nothing. */
  readonly incognito?: boolean | undefined;
  /** The host name that pages are under; one that is not localhost has no secure context. */
  readonly host?: string | undefined;
}

/**
 * Switches for WebGPU on Chromium's own software driver. Memory of work groups is cleared by a loop, since with the
 * extension that Dawn has for it this driver compiles five times as long.
 */
export const softwareWebGpu: readonly string[] = [
  '--enable-unsafe-webgpu',
  '--use-webgpu-adapter=swiftshader',
  '--disable-dawn-features=use_vulkan_zero_initialize_workgroup_memory_extension',
];

/** The switches that Chromium starts with. */
export const switchesOf = ({
  flags = [],
  incognito = false,
  host = '127.0.0.1',
}: OpenBrowserOptions) => [
  // As root in a container there is no sandbox, and /dev/shm is small.
  '--no-sandbox',
  '--disable-dev-shm-usage',
  `--host-resolver-rules=MAP ${host} 127.0.0.1`,
  ...(incognito ? ['--incognito'] : []),
  ...flags,
];

/** Headless Chromium with a profile of its own, until it is closed. */
export async function launchBrowser(
  options: OpenBrowserOptions = {},
): Promise<{ readonly context: BrowserContext; close(): Promise<void> }> {
  const profile = await mkdtemp(join(tmpdir(), 'rwkv-page-'));
  const context = await chromium.launchPersistentContext(profile, {
    executablePath: chromiumPath,
    args: switchesOf(options),
  });
  return {
    context,
    async close() {
      await context.close();
      await rm(profile, { recursive: true, force: true, maxRetries: 5 });
    },
  };
}
