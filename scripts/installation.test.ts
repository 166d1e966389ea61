import { spawnSync } from 'node:child_process';
import {
  existsSync,
  mkdirSync,
  mkdtempSync,
  readFileSync,
  rmSync,
  utimesSync,
  writeFileSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import {
  explainFailure,
  fingerprint,
  isInstalled,
  markInstalled,
  nodeProblem,
  takeLock,
  workspaceFolders,
} from './installation.mjs';

let root: string;

function lay(files: Record<string, string>) {
  for (const [name, text] of Object.entries(files)) {
    mkdirSync(dirname(join(root, name)), { recursive: true });
    writeFileSync(join(root, name), text);
  }
}

beforeEach(() => {
  root = mkdtempSync(join(tmpdir(), 'installation-'));
  lay({
    'package.json': '{}',
    'pnpm-lock.yaml': 'lockfileVersion: 9',
    'pnpm-workspace.yaml': 'packages:\n  - packages/*\n  - tools\n\ncatalog:\n  a: 1\n',
    'packages/core/package.json': '{ "dependencies": { "other": "1" } }',
    'packages/core/node_modules/other/package.json': '{}',
    'packages/not-a-package/readme': '',
    'tools/package.json': '{}',
    'node_modules/any/package.json': '{}',
  });
});

afterEach(() => rmSync(root, { recursive: true, force: true }));

describe('the Node check', () => {
  test('accepts the least version and newer ones', () => {
    for (const version of ['v20.19.0', 'v20.20.2', 'v22.0.0', 'v100.1.0']) {
      expect(nodeProblem(version, '>=20.19')).toBeUndefined();
    }
  });

  test('says what was found, what is needed and where to get it', () => {
    for (const version of ['v14.21.3', 'v18.20.4', 'v20.18.1']) {
      const problem = nodeProblem(version, '>=20.19');
      expect(problem).toContain(version);
      expect(problem).toContain('20.19 or newer');
      expect(problem).toContain('https://nodejs.org');
    }
  });
});

describe('whether an install is due', () => {
  test('the workspace is the root and what pnpm-workspace.yaml lists', () => {
    expect(workspaceFolders(root)).toEqual([
      root,
      join(root, 'packages/core'),
      join(root, 'tools'),
    ]);
  });

  test('a clone is not installed before the mark, and is after it', () => {
    expect(isInstalled(root)).toBe(false);
    markInstalled(root);
    expect(isInstalled(root)).toBe(true);
  });

  test.each(['pnpm-lock.yaml', 'pnpm-workspace.yaml', 'tools/package.json'])(
    'a change of %s makes it due',
    (file) => {
      markInstalled(root);
      lay({ [file]: `${readFileSync(join(root, file), 'utf8')}\n` });
      expect(isInstalled(root)).toBe(false);
    },
  );

  test('a new package makes it due', () => {
    const before = fingerprint(root);
    lay({ 'packages/new/package.json': '{}' });
    expect(fingerprint(root)).not.toBe(before);
  });

  test('a dependency that somebody removed makes it due', () => {
    markInstalled(root);
    rmSync(join(root, 'packages/core/node_modules'), { recursive: true });
    expect(isInstalled(root)).toBe(false);
  });
});

describe('the lock', () => {
  const noWait = () => expect.unreachable('nothing to wait for');

  test('is taken, given back, and taken again', async () => {
    (await takeLock(root, noWait))();
    (await takeLock(root, noWait))();
    expect(existsSync(join(root, '.install-lock'))).toBe(false);
  });

  test('makes a second taker wait for the first', async () => {
    const order: string[] = [];
    const release = await takeLock(root, noWait);
    const second = takeLock(root, (holder) => order.push(`waits for ${holder}`)).then((give) => {
      order.push('second');
      give();
    });
    order.push('first');
    release();
    await second;
    expect(order).toEqual([`waits for ${process.pid}`, 'first', 'second']);
  });

  test('of a process that died is taken over', async () => {
    const { pid } = spawnSync(process.execPath, ['--version']);
    lay({ '.install-lock': String(pid) });
    (await takeLock(root, noWait))();
  });

  test('of long ago is taken over, whoever has its process number now', async () => {
    lay({ '.install-lock': String(process.pid) });
    utimesSync(join(root, '.install-lock'), 1, 1);
    (await takeLock(root, noWait))();
  });
});

describe('what a failed install means', () => {
  test.each([
    ['ENOSPC: no space left on device, write', 'disk is full'],
    ['ERR_PNPM_OUTDATED_LOCKFILE  Cannot install with "frozen-lockfile"', 'does not match'],
    ["EACCES: permission denied, mkdir '/clone/node_modules'", 'may not be written'],
    ['EROFS: read-only file system', 'may not be written'],
    ['npm error code EAI_AGAIN', 'could not be reached'],
    ['GET https://registry/x: connect ECONNREFUSED', 'could not be reached'],
    ['spawnSync npx ENOENT', 'npx was not found'],
    ['something else', 'last lines are above'],
  ])('%s', (output, meaning) => {
    expect(explainFailure(output, { root: '/clone', pnpm: 'pnpm@10.0.0' })).toContain(meaning);
  });
});
