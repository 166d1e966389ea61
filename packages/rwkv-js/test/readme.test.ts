import { spawnSync } from 'node:child_process';
import { readFileSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import { expect, test } from 'vitest';

const readme = readFileSync(new URL('../../../README.md', import.meta.url), 'utf8');

test('the ten lines of the README tell a story', () => {
  const code = /## Ten lines\n+```js\n(.*?)```/s.exec(readme)![1]!;
  // In this package's folder its own name leads to its sources, so the lines run as they stand.
  const { stdout, stderr, status } = spawnSync(
    process.execPath,
    ['--import', 'tsx', '--conditions=development', '--input-type=module'],
    { input: code, encoding: 'utf8', cwd: fileURLToPath(new URL('..', import.meta.url)) },
  );
  expect(stderr).toBe('');
  expect(status).toBe(0);
  expect(stdout.length).toBeGreaterThan(100);
  expect(stdout).toMatch(/^[\x20-\x7e\n]+$/);
});
