/**
 * Makes a fresh clone ready, and says nothing when it already is. Runs before `npm start`,
 * `npm test` and `npm run rwkv`. Writes to stderr alone, so that what follows can be piped.
 */
import { spawnSync } from 'node:child_process';
import { readFileSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import {
  explainFailure,
  isInstalled,
  markInstalled,
  nodeProblem,
  takeLock,
} from './installation.mjs';

const root = fileURLToPath(new URL('..', import.meta.url)).replace(/[\\/]$/, '');
const manifest = JSON.parse(readFileSync(new URL('../package.json', import.meta.url), 'utf8'));
/** @type {string} */
const pnpm = manifest.packageManager;

/** @param {string} text */
const say = (text) => void process.stderr.write(`${text}\n`);

const problem = nodeProblem(process.version, manifest.engines.node);
if (problem) {
  say(problem);
  process.exitCode = 1;
} else {
  setUp().catch((/** @type {unknown} */ error) => fail(String(error)));
}

async function setUp() {
  if (!isInstalled(root)) await installOnce();
  if (process.exitCode) return;
  // What is made of sources and not committed; a moment when it is as they are.
  const { generate } = await import('../packages/wasm/build/generate.mjs');
  await generate();
}

async function installOnce() {
  const release = await takeLock(root, (holder) =>
    say(`Waiting for another set-up of this folder (process ${holder}) to finish ...`),
  );
  try {
    if (!isInstalled(root)) install();
  } finally {
    release();
  }
}

function install() {
  say(`Setting up rwkv-js: installing packages with ${pnpm.replace('@', ' ')} ...`);
  const started = Date.now();
  // NODE_ENV=production must not leave out what runs the sources, and a node_modules of another
  // tool is replaced without a question.
  const args = ['install', '--frozen-lockfile', '--prod=false', '--reporter=append-only'];
  const run = spawnSync('npx', ['--yes', pnpm, ...args, '--config.confirm-modules-purge=false'], {
    cwd: root,
    encoding: 'utf8',
    env: quickRetries(process.env),
    maxBuffer: 64 * 1024 * 1024,
    shell: process.platform === 'win32',
    stdio: ['ignore', 'pipe', 'pipe'],
  });
  if (run.status !== 0) {
    fail(`${run.stdout || ''}\n${run.stderr || ''}\n${run.error ? run.error.message : ''}`);
    return;
  }
  markInstalled(root);
  say(`Set up in ${((Date.now() - started) / 1000).toFixed(1)} s.`);
}

/**
 * The environment for the install: `npm --silent` must not silence its errors, and a registry that
 * cannot be reached should be told within seconds, where the usual retries take over a minute.
 *
 * @param {NodeJS.ProcessEnv} env
 * @returns {NodeJS.ProcessEnv}
 */
function quickRetries(env) {
  return Object.assign({}, env, {
    npm_config_loglevel: 'warn',
    npm_config_fetch_retry_mintimeout: '1000',
    npm_config_fetch_retry_maxtimeout: '5000',
  });
}

/** @param {string} output */
function fail(output) {
  const lines = output.split('\n').filter((line) => line.trim() !== '');
  say(lines.slice(-15).join('\n'));
  say(`\nSetting up rwkv-js failed. ${explainFailure(output, { root, pnpm })}`);
  process.exitCode = 1;
}
