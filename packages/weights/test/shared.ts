import { existsSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import { describe, test } from 'vitest';

/** The folder of golden models, beside the repository; a clone alone does not have it. */
export const golden = fileURLToPath(new URL('../../../../shared/golden/', import.meta.url));

/**
 * A group of tests that need the golden models. Skipped with the reason in its name where they are
 * absent, and failing where they are absent under CI.
 */
export function describeGolden(name: string, tests: () => void): void {
  if (existsSync(golden)) describe(name, tests);
  else if (process.env.CI === 'true') {
    test(name, () => {
      throw new Error(`the golden models are not in ${golden}, and CI needs them`);
    });
  } else describe.skip(`${name} (skipped: no golden models in ../shared/golden)`, tests);
}
