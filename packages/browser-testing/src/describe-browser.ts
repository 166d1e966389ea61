import { existsSync } from 'node:fs';
import { describe, expect, test } from 'vitest';
import { chromiumPath } from './launch-browser.ts';

/**
 * Tests that need a browser: skipped where there is none, with the reason, except in continuous
 * integration, where its absence is a failure.
 */
export function describeBrowser(name: string, tests: () => void): void {
  if (existsSync(chromiumPath)) {
    describe(name, { timeout: 60_000 }, tests);
  } else if (process.env['CI'] === 'true') {
    test(name, () => {
      expect.fail(`there is no Chromium at ${chromiumPath}: apt-get install chromium`);
    });
  } else {
    console.warn(
      `Skipped "${name}": there is no Chromium at ${chromiumPath}; install Debian's package ` +
        'chromium, or name another in CHROMIUM.',
    );
    describe.skip(name, tests);
  }
}
