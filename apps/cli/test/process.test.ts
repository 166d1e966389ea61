import { spawn, type ChildProcess } from 'node:child_process';
import { once } from 'node:events';
import { fileURLToPath } from 'node:url';
import { text } from 'node:stream/consumers';
import { expect, test } from 'vitest';

const root = fileURLToPath(new URL('../../..', import.meta.url));
const main = ['--import', 'tsx', '--conditions=development', 'apps/cli/src/main.ts'];

function start(...args: string[]) {
  return spawn(process.execPath, [...main, ...args], { cwd: root, stdio: 'pipe' });
}

async function exitCode(child: ChildProcess): Promise<number | null> {
  const [code] = (await once(child, 'close')) as [number | null];
  return code;
}

test('bytes come in and go out of the process as they are', async () => {
  const child = start('tokenize');
  child.stdin.end(Buffer.from([0xff, 0x0a, 0x00]));
  const [stdout, stderr, code] = await Promise.all([
    text(child.stdout),
    text(child.stderr),
    exitCode(child),
  ]);
  expect({ code, stderr }).toEqual({ code: 0, stderr: '' });
  expect(JSON.parse(stdout)).toEqual([256, 11, 1]);
});

test('Ctrl-C ends a story with what was written, the closing line and code 130', async () => {
  const child = start('generate', '--prompt', 'Once upon a time', '--seed', '1');
  const [stdout, stderr, code] = await Promise.all([
    text(child.stdout.once('data', () => child.kill('SIGINT'))),
    text(child.stderr),
    exitCode(child),
  ]);
  expect(code).toBe(130);
  expect(stdout).toMatch(/^Once upon a time/);
  expect(stderr).toMatch(/^[^\n]*, interrupted, seed 1, wasm, stories[^\n]*\n$/);
});

test('a reader that has enough ends it without a word', async () => {
  const child = start('generate', '--prompt', 'Once upon a time', '--seed', '1');
  child.stdout.once('data', () => child.stdout.destroy());
  const [stderr, code] = await Promise.all([text(child.stderr), exitCode(child)]);
  expect({ code, stderr }).toEqual({ code: 0, stderr: '' });
});
