import { existsSync, readFileSync } from 'node:fs';
import { describe, expect, test } from 'vitest';

const shared = new URL('../../../../shared/', import.meta.url);

/** A file of the shared folder that lies beside the repository. */
export function readShared(path: string): Uint8Array {
  return readFileSync(new URL(path, shared));
}

/**
 * Tests that need the shared folder: skipped where it is absent, with the reason, except in
 * continuous integration, where its absence is a failure.
 */
export function describeShared(name: string, tests: () => void): void {
  if (existsSync(shared)) {
    describe(name, tests);
  } else if (process.env['CI'] === 'true') {
    test(name, () => {
      expect.fail('the shared folder must lie beside the repository in continuous integration');
    });
  } else {
    console.warn(`Skipped "${name}": there is no shared folder beside the repository.`);
    describe.skip(name, tests);
  }
}
