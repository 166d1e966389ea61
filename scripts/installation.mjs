/**
 * What the bootstrap has to know: which Node it needs, whether an install is due, who else installs
 * at the moment, and what a failed install means. Plain Node and its built-in modules, in syntax
 * that Node 14 reads: it runs before anything is installed, on whatever Node there is.
 */
import { createHash } from 'node:crypto';
import {
  existsSync,
  readdirSync,
  readFileSync,
  renameSync,
  rmSync,
  statSync,
  writeFileSync,
} from 'node:fs';
import { join } from 'node:path';

/**
 * A sentence that says what is wrong with this Node, or undefined when it will do.
 *
 * @param {string} version such as `v20.20.2`
 * @param {string} range the `engines.node` of the root package.json, of the form `>=20.19`
 * @returns {string | undefined}
 */
export function nodeProblem(version, range) {
  const [major, minor] = numbers(version);
  const [leastMajor, leastMinor] = numbers(range);
  if (major > leastMajor || (major === leastMajor && minor >= leastMinor)) return undefined;
  return (
    `rwkv-js needs Node ${leastMajor}.${leastMinor} or newer, and this is Node ${version}: ` +
    'install a current one from https://nodejs.org and try again.'
  );
}

/** @param {string} text */
function numbers(text) {
  return (text.match(/\d+/g) || []).map(Number);
}

/**
 * The folders of the workspace: the root, and what the `packages` list of pnpm-workspace.yaml names.
 *
 * @param {string} root
 * @returns {string[]} absolute, sorted; only those that hold a package.json
 */
export function workspaceFolders(root) {
  const yaml = readFileSync(join(root, 'pnpm-workspace.yaml'), 'utf8');
  const list = /^packages:\n((?: +- .*\n)+)/m.exec(yaml);
  const patterns = list ? list[1].split('\n').map((line) => line.replace(/^ +- /, '').trim()) : [];
  const folders = [root];
  for (const pattern of patterns.filter(Boolean)) {
    if (!pattern.endsWith('/*')) folders.push(join(root, pattern));
    else {
      const parent = join(root, pattern.slice(0, -2));
      if (existsSync(parent))
        folders.push(...readdirSync(parent).map((name) => join(parent, name)));
    }
  }
  return folders.filter((folder) => existsSync(join(folder, 'package.json'))).sort();
}

/**
 * A hash of all that decides what an install would do: the lockfile, the workspace file, and every
 * package.json of the workspace.
 *
 * @param {string} root
 * @returns {string}
 */
export function fingerprint(root) {
  const hash = createHash('sha256');
  const manifests = workspaceFolders(root).map((folder) => join(folder, 'package.json'));
  const files = [join(root, 'pnpm-lock.yaml'), join(root, 'pnpm-workspace.yaml'), ...manifests];
  for (const file of files) {
    hash.update(file.slice(root.length));
    hash.update(existsSync(file) ? readFileSync(file) : '');
  }
  return hash.digest('hex');
}

/** @param {string} root */
const stampOf = (root) => join(root, 'node_modules', '.rwkv-js-installed');

/**
 * True when the last finished install saw these same files and nobody has removed what it laid.
 *
 * @param {string} root
 * @returns {boolean}
 */
export function isInstalled(root) {
  const stamp = stampOf(root);
  if (!existsSync(stamp) || readFileSync(stamp, 'utf8') !== fingerprint(root)) return false;
  return workspaceFolders(root).every((folder) => {
    const manifest = JSON.parse(readFileSync(join(folder, 'package.json'), 'utf8'));
    const named = Object.assign({}, manifest.dependencies, manifest.devDependencies);
    return Object.keys(named).every((name) => existsSync(join(folder, 'node_modules', name)));
  });
}

/** @param {string} root */
export function markInstalled(root) {
  writeFileSync(stampOf(root), fingerprint(root));
}

/** A lock older than this is left from another time, whoever has its process number now. */
const oldestLock = 15 * 60 * 1000;

/**
 * Takes the lock of this folder, so that one install runs at a time; waits while a live process
 * holds it, and takes over what a dead one left.
 *
 * @param {string} root
 * @param {(holder: string) => void} waiting told once, when there is something to wait for
 * @returns {Promise<() => void>} gives the lock back
 */
export async function takeLock(root, waiting) {
  const lock = join(root, '.install-lock');
  for (let tries = 0; ; tries++) {
    try {
      writeFileSync(lock, String(process.pid), { flag: 'wx' });
      return () => rmSync(lock, { force: true });
    } catch (error) {
      if (codeOf(error) !== 'EEXIST') throw error;
    }
    const holder = staleOrHolder(lock);
    if (holder === undefined) removeStale(lock);
    else {
      if (tries === 0) waiting(holder);
      await new Promise((resolve) => setTimeout(resolve, 200));
    }
  }
}

/**
 * The process that holds a lock, or undefined when nobody does any more.
 *
 * @param {string} lock
 * @returns {string | undefined}
 */
function staleOrHolder(lock) {
  try {
    const holder = readFileSync(lock, 'utf8');
    if (Date.now() - statSync(lock).mtimeMs > oldestLock) return undefined;
    if (holder !== '') process.kill(Number(holder), 0);
    return holder;
  } catch (error) {
    // EPERM: the process lives and is another user's. Anything else: the process or the file is gone.
    return codeOf(error) === 'EPERM' ? 'of another user' : undefined;
  }
}

/**
 * Removes a stale lock. Of two that find it stale at once, the slower could remove the lock that the
 * faster has just taken: so it is moved aside first, looked at again, and put back if it lives.
 *
 * @param {string} lock
 */
function removeStale(lock) {
  const aside = `${lock}-${process.pid}`;
  try {
    renameSync(lock, aside);
  } catch (error) {
    if (codeOf(error) === 'ENOENT') return;
    throw error;
  }
  if (staleOrHolder(aside) === undefined) rmSync(aside, { force: true });
  else renameSync(aside, lock);
}

/** @param {unknown} error */
function codeOf(error) {
  return error instanceof Error && 'code' in error ? String(error.code) : '';
}

/**
 * What a failed install means and what to do about it, from what it printed.
 *
 * @param {string} output everything the install printed, or the message of the error that it died of
 * @param {{ root: string, pnpm: string }} of the folder, and pnpm's name with its version
 * @returns {string} one or two sentences
 */
export function explainFailure(output, { root, pnpm }) {
  if (/ENOSPC|EDQUOT|no space left/i.test(output)) {
    return 'The disk is full: free about 1 GB (packages are also kept in the caches of npm and pnpm) and try again.';
  }
  if (
    /ERR_PNPM_OUTDATED_LOCKFILE|ERR_PNPM_LOCKFILE|ERR_PNPM_NO_LOCKFILE|ERR_PNPM_BROKEN_LOCKFILE/.test(
      output,
    )
  ) {
    return (
      'pnpm-lock.yaml does not match the package.json files: if you changed a package.json, ' +
      `run "npx ${pnpm} install" and commit the lockfile; if not, "git checkout pnpm-lock.yaml" brings it back.`
    );
  }
  if (/EACCES|EROFS|EPERM|permission denied/i.test(output)) {
    return `Something may not be written: make sure that you own ${root} and the caches of npm and pnpm in your home folder.`;
  }
  if (/spawn\w* \S*npx\S* ENOENT|npx: (command )?not found/.test(output)) {
    return 'npx was not found: it comes with npm, which comes with Node; install both from https://nodejs.org.';
  }
  if (
    /ENOTFOUND|EAI_AGAIN|ECONN(REFUSED|RESET)|E(NET|HOST)UNREACH|ETIMEDOUT|ERR_SOCKET_TIMEOUT|ERR_PNPM_META_FETCH_FAIL|ERR_PNPM_FETCH|CERT/.test(
      output,
    )
  ) {
    return 'The package registry could not be reached: check the network (and the proxy, if you are behind one) and try again.';
  }
  return `${pnpm} could not install the packages; its last lines are above.`;
}
