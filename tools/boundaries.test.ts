import { spawnSync } from 'node:child_process';
import { mkdirSync, mkdtempSync, realpathSync, rmSync, symlinkSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { cruise, type ICruiseResult } from 'dependency-cruiser';
import { afterEach, beforeEach, expect, test } from 'vitest';
import boundaries from './boundaries.mjs';

/** Packages of a small house that stands, and what their manifests list. */
const dependencies: Record<string, string[]> = {
  tensor: [],
  core: ['tensor'],
  weights: ['tensor'],
  testing: ['core', 'tensor'],
  language: ['core', 'tensor', 'weights', 'testing'],
};

const sound: Record<string, string> = {
  'packages/tensor/src/index.ts': "export { a } from './a.ts';\n",
  'packages/tensor/src/a.ts': 'export const a = 1;\n',
  'packages/core/src/index.ts': "export { a as b } from '@rwkv-js/tensor';\n",
  'packages/weights/src/index.ts': "export type { a } from '@rwkv-js/tensor';\n",
  'packages/testing/src/index.ts': "export { b } from '@rwkv-js/core';\n",
  'packages/language/src/index.ts': "export { b } from '@rwkv-js/core';\n",
  'packages/language/src/index.test.ts': [
    "import '@rwkv-js/testing';",
    "import '@rwkv-js/weights';",
    "import 'node:fs';",
    "import './index.ts';\n",
  ].join('\n'),
};

let root: string;

beforeEach(() => {
  root = realpathSync(mkdtempSync(join(tmpdir(), 'boundaries-')));
  lay(sound);
  lay({ 'package.json': '{ "type": "module" }' });
  for (const [name, needed] of Object.entries(dependencies)) {
    const list = Object.fromEntries(needed.map((other) => [`@rwkv-js/${other}`, 'workspace:^']));
    const manifest = {
      name: `@rwkv-js/${name}`,
      type: 'module',
      exports: { '.': { development: './src/index.ts', default: './dist/index.js' } },
      dependencies: list,
    };
    lay({ [`packages/${name}/package.json`]: JSON.stringify(manifest) });
    for (const other of needed) {
      const link = join(root, 'packages', name, 'node_modules/@rwkv-js', other);
      mkdirSync(dirname(link), { recursive: true });
      symlinkSync(join(root, 'packages', other), link);
    }
  }
});

afterEach(() => rmSync(root, { recursive: true, force: true }));

function lay(files: Record<string, string>) {
  for (const [name, text] of Object.entries(files)) {
    mkdirSync(dirname(join(root, name)), { recursive: true });
    writeFileSync(join(root, name), text);
  }
}

/** Names of the rules that the house breaks. */
async function broken(): Promise<string[]> {
  const { forbidden, options } = boundaries;
  const ruleSet = forbidden ? { forbidden } : {};
  const { output } = await cruise(['packages'], {
    ...options,
    baseDir: root,
    validate: true,
    ruleSet,
  });
  const { violations } = (output as ICruiseResult).summary;
  return [...new Set(violations.map((violation) => violation.rule.name))].sort();
}

test('a house that keeps to the directions stands, its tests importing more than the product', async () => {
  expect(await broken()).toEqual([]);
});

test.each<[string, Record<string, string>, string]>([
  [
    'the contract importing the maths',
    { 'packages/tensor/src/a.ts': "export { b as a } from '../../core/src/index.ts';\n" },
    'tensor-imports-only-what-it-may',
  ],
  [
    'a model importing a file format',
    { 'packages/language/src/index.ts': "export * from '@rwkv-js/weights';\n" },
    'language-imports-only-what-it-may',
  ],
  [
    'a model importing the types of a file format',
    { 'packages/language/src/index.ts': "export type * from '@rwkv-js/weights';\n" },
    'language-imports-only-what-it-may',
  ],
  [
    'a path into the files of another package',
    { 'packages/core/src/index.ts': "export * from '../../tensor/src/a.ts';\n" },
    'other-packages-by-their-name',
  ],
  [
    'a deep import of what a package does not export',
    { 'packages/core/src/index.ts': "export * from '@rwkv-js/tensor/src/a.ts';\n" },
    'nothing-unresolved',
  ],
  [
    'product code importing the tools of tests',
    { 'packages/language/src/index.ts': "export * from '@rwkv-js/testing';\n" },
    'testing-is-for-tests',
  ],
  [
    'product code importing a test',
    { 'packages/language/src/index.ts': "export * from './index.test.ts';\n" },
    'product-code-does-not-import-tests',
  ],
  [
    'two modules that need each other',
    { 'packages/tensor/src/a.ts': "import './index.ts';\nexport const a = 1;\n" },
    'no-cycles',
  ],
  [
    'a module that nobody imports',
    { 'packages/tensor/src/alone.ts': 'export const alone = 1;\n' },
    'no-orphans',
  ],
  [
    'a dependency that is installed and not listed',
    {
      'packages/core/src/index.ts': "export * from 'third';\n",
      'node_modules/third/package.json': '{ "name": "third", "main": "main.js" }',
      'node_modules/third/main.js': '',
    },
    'only-listed-dependencies',
  ],
  [
    'product code on a dev dependency',
    {
      'package.json': '{ "type": "module", "devDependencies": { "third": "1" } }',
      'packages/core/src/index.ts': "export * from 'third';\n",
      'node_modules/third/package.json': '{ "name": "third", "main": "main.js" }',
      'node_modules/third/main.js': '',
    },
    'product-code-uses-dependencies-not-dev-dependencies',
  ],
  [
    'a module of Node imported by code that also runs in a page',
    {
      'packages/core/src/index.ts': "import { open } from 'node:fs/promises';\nexport { open };\n",
    },
    'node-modules-of-node-only-when-they-run',
  ],
  [
    'a package without a line in the table',
    { 'packages/attic/src/index.ts': "export * from './b.ts';\n", 'packages/attic/src/b.ts': '' },
    'every-package-has-a-line-in-boundaries',
  ],
])('%s is found', async (_, planted, rule) => {
  lay(planted);
  expect(await broken()).toContain(rule);
});

test('a module of Node imported where it is used is no violation', async () => {
  lay({ 'packages/core/src/index.ts': "export const open = () => import('node:fs/promises');\n" });
  expect(await broken()).toEqual([]);
});

test('two modules that know each other by their types alone are no violation', async () => {
  lay({
    'packages/tensor/src/a.ts':
      "import type * as all from './index.ts';\nexport let a: typeof all;\n",
  });
  expect(await broken()).toEqual([]);
});

test('the command fails and names the files', () => {
  lay({ 'packages/language/src/index.ts': "export * from '@rwkv-js/weights';\n" });
  const here = (path: string) => fileURLToPath(new URL(path, import.meta.url));
  const bin = here('../node_modules/dependency-cruiser/bin/dependency-cruise.mjs');
  const command = [bin, '--config', here('boundaries.mjs'), 'packages'];
  const run = spawnSync(process.execPath, command, { cwd: root, encoding: 'utf8' });
  expect(run.status).not.toBe(0);
  expect(run.stdout).toContain('packages/language/src/index.ts → packages/weights/src/index.ts');
});
