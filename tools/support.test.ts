import { readFileSync } from 'node:fs';
import { expect, test } from 'vitest';
import { supportPage, supportPath } from './support.ts';

test('docs/support.md is what the tables say; npm run support writes it', async () => {
  expect(readFileSync(supportPath, 'utf8')).toBe(await supportPage());
});
