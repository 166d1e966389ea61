/**
 * Who may import whom. `npm run boundaries` holds the house to it, with dependency-cruiser.
 * docs/decisions/0001-toolchain.md says why a tool does this; the packages' own lists are below.
 */

/**
 * What the product code of each package may import of the others. A new package gets its line here.
 *
 * @type {Record<string, string[]>}
 */
const mayImport = {
  tensor: [],
  tokenizer: [],
  stories: [],
  core: ['tensor'],
  weights: ['tensor'],
  hub: ['tensor'],
  wasm: ['core', 'tensor'],
  webgpu: ['core', 'tensor'],
  cuda: ['core', 'tensor'],
  testing: ['core', 'tensor'],
  'browser-testing': [],
  language: ['core', 'tensor', 'tokenizer'],
  train: ['core', 'language', 'tensor', 'weights'],
  'rwkv-js': [
    'core',
    'hub',
    'language',
    'stories',
    'tensor',
    'tokenizer',
    'train',
    'wasm',
    'webgpu',
    'weights',
  ],
};

/** Packages that never run in a page, so they may import Node's modules at the top of a file. */
const nodeOnly = ['testing', 'browser-testing', 'cuda'];

/** Without dependencies from outside, so that anyone can take them alone. */
const bare = ['tensor', 'tokenizer', 'stories'];

const tests = '\\.test\\.ts$|/test/';
const any = (/** @type {string[]} */ names) => `(?:${names.join('|')})`;

/** @type {import('dependency-cruiser').IForbiddenRuleType[]} */
const packageRules = Object.entries(mayImport).map(([name, others]) => ({
  name: `${name}-imports-only-what-it-may`,
  comment: `${name} may import ${others.join(', ') || 'no other package'}.`,
  severity: 'error',
  from: { path: `^packages/${name}/src/`, pathNot: tests },
  to: { path: '^(?:packages|apps|tools|bench)/', pathNot: `^packages/${any([name, ...others])}/` },
}));

/** @type {import('dependency-cruiser').IConfiguration} */
export default {
  forbidden: [
    ...packageRules,
    {
      name: 'every-package-has-a-line-in-boundaries',
      comment: 'Add the package to mayImport in tools/boundaries.mjs.',
      severity: 'error',
      from: { path: `^packages/(?!${any(Object.keys(mayImport))}/)` },
      to: {},
    },
    {
      name: 'apps-come-in-by-the-front-door',
      comment: 'Apps import rwkv-js, not the packages behind it.',
      severity: 'error',
      from: { path: '^(apps/[^/]+/src|examples/[^/]+)/', pathNot: tests },
      to: {
        path: '^(?:packages|apps|tools|bench|examples)/',
        pathNot: '^(?:packages/rwkv-js/|$1/)',
      },
    },
    {
      name: 'other-packages-by-their-name',
      comment: "Import another package's name, never its files.",
      severity: 'error',
      from: { path: '^((?:packages|apps)/[^/]+)/(?:src|test)/' },
      to: { path: '^(?:packages|apps|tools|bench)/', pathNot: '^$1/', dependencyTypes: ['local'] },
    },
    {
      name: 'testing-is-for-tests',
      severity: 'error',
      from: { path: '^(?:packages|apps)/(?!(?:browser-)?testing/)[^/]+/src/', pathNot: tests },
      to: { path: '^packages/(?:browser-)?testing/' },
    },
    {
      name: 'product-code-does-not-import-tests',
      severity: 'error',
      from: { path: '^(?:packages|apps)/[^/]+/src/', pathNot: tests },
      to: { path: tests },
    },
    {
      name: 'no-cycles',
      comment:
        'Modules that need each other in a ring to run; a ring through types alone is no harm.',
      severity: 'error',
      from: { pathNot: tests },
      to: { circular: true, viaOnly: { pathNot: tests, dependencyTypesNot: ['type-only'] } },
    },
    {
      name: 'no-orphans',
      comment: 'Nobody imports this file and it imports nothing: use it or delete it.',
      severity: 'error',
      from: {
        orphan: true,
        pathNot: `${tests}|/src/(?:index|main|service-worker)\\.ts$|\\.config\\.ts$|^tools/boundaries\\.mjs$`,
      },
      to: {},
    },
    {
      name: 'nothing-unresolved',
      comment:
        'No such file, a package that is not installed, or one that does not export this path.',
      severity: 'error',
      from: {},
      // Types alone, named by `/// <reference types>`.
      to: { couldNotResolve: true, pathNot: '^@webgpu/types$' },
    },
    {
      name: 'only-listed-dependencies',
      comment: "Add it to the package's own package.json, exactly pinned through the catalog.",
      severity: 'error',
      from: {},
      to: { dependencyTypes: ['npm-no-pkg', 'npm-unknown'] },
    },
    {
      name: 'product-code-uses-dependencies-not-dev-dependencies',
      severity: 'error',
      from: { path: '^(?:packages|apps)/[^/]+/src/', pathNot: tests },
      to: {
        dependencyTypes: ['npm-dev'],
        // What a user may bring is a peer, and a development dependency for the tests.
        dependencyTypesNot: ['npm', 'npm-peer', 'type-only'],
      },
    },
    {
      name: 'bare-packages-depend-on-nothing',
      severity: 'error',
      from: { path: `^packages/${any(bare)}/src/`, pathNot: tests },
      to: { dependencyTypes: ['npm', 'npm-dev', 'npm-peer', 'npm-optional'] },
    },
    {
      name: 'node-modules-of-node-only-when-they-run',
      comment:
        'This code also runs in a page: import `node:` modules dynamically, where they are used.',
      severity: 'error',
      from: { path: `^packages/(?!${any(nodeOnly)}/)[^/]+/src/`, pathNot: tests },
      to: { dependencyTypes: ['core'], dynamic: false, dependencyTypesNot: ['type-only'] },
    },
  ],
  options: {
    doNotFollow: { path: 'node_modules' },
    exclude: { path: '(?:^|/)(?:dist|fixtures)/' },
    tsPreCompilationDeps: true,
    combinedDependencies: true,
    enhancedResolveOptions: {
      exportsFields: ['exports'],
      conditionNames: ['development', 'import', 'types', 'node', 'default'],
      extensions: ['.ts', '.tsx', '.mjs', '.js', '.d.ts', '.json'],
    },
  },
};
