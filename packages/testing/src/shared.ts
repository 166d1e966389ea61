import { existsSync, readFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { describe, expect, test } from 'vitest';

/** The folder of reference data beside the repository; a clone alone has none. */
const folder = join(dirname(fileURLToPath(import.meta.url)), '../../../../shared');

/** Path of a file of the reference data. */
export function sharedPath(path: string): string {
  return join(folder, path);
}

/** A file of the reference data. */
export function readShared(path: string): Uint8Array {
  return new Uint8Array(readFileSync(sharedPath(path)));
}

/**
 * Tests that need the reference data: skipped where it is absent, with the reason, except in
 * continuous integration, where its absence is a failure.
 */
export function describeShared(name: string, tests: () => void): void {
  if (existsSync(folder)) {
    describe(name, tests);
  } else if (process.env['CI'] === 'true') {
    test(name, () => {
      expect.fail('the folder of reference data must lie beside the repository');
    });
  } else {
    console.warn(`Skipped "${name}": there is no folder of reference data beside the repository.`);
    describe.skip(name, tests);
  }
}
