/**
 * Writes the small weight files that the tests of @rwkv-js/weights read.
 *
 *     node --import tsx --conditions=development tools/golden/make-weights-fixtures.ts
 */
import { mkdir, writeFile } from 'node:fs/promises';
import { fixtureFiles } from '../../packages/weights/test/fixtures.ts';

const folder = new URL('../../packages/weights/test/fixtures/', import.meta.url);

await mkdir(folder, { recursive: true });
for (const [name, bytes] of fixtureFiles()) {
  await writeFile(new URL(name, folder), bytes);
  console.log(`${name}: ${bytes.length} bytes`);
}
