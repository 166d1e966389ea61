/**
 * Checks what would be published, from the tarballs that pnpm packs (so that publishConfig and the
 * real versions apply): publint, the types as every kind of importer sees them, no tests and no
 * `development` condition inside, and that all of it together installs and loads. Prints the sizes.
 * `npm run check:packages` builds first.
 */
import { execFile } from 'node:child_process';
import { mkdtemp, readFile, readdir, rm, stat, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { promisify } from 'node:util';
import { publint } from 'publint';
import { formatMessage } from 'publint/utils';

const run = promisify(execFile);
const root = fileURLToPath(new URL('..', import.meta.url));
const bin = (name: string) => join(root, 'node_modules/.bin', name);

interface Manifest {
  readonly name: string;
  readonly private?: boolean;
  readonly exports?: object;
  readonly bin?: Record<string, string>;
}

interface Packed {
  readonly manifest: Manifest;
  readonly tarball: string;
  readonly files: readonly string[];
}

/** Folders of everything that is published. */
async function publishable(): Promise<string[]> {
  const folders: string[] = [];
  for (const parent of ['packages', 'apps']) {
    for (const name of await readdir(join(root, parent))) {
      const manifest = await readManifest(join(root, parent, name, 'package.json'));
      if (!manifest.private) folders.push(join(root, parent, name));
    }
  }
  return folders;
}

async function readManifest(file: string): Promise<Manifest> {
  return JSON.parse(await readFile(file, 'utf8')) as Manifest;
}

async function pack(folder: string, into: string): Promise<Packed> {
  const options = ['pack', '--json', '--pack-destination', into];
  const { stdout } = await run(bin('pnpm'), options, { cwd: folder });
  const { filename, files } = JSON.parse(stdout) as { filename: string; files: { path: string }[] };
  const inside = await run('tar', ['-xzOf', filename, 'package/package.json']);
  const manifest = JSON.parse(inside.stdout) as Manifest;
  return { manifest, tarball: filename, files: files.map((file) => file.path) };
}

/** What is wrong with a packed package, a line each. */
async function problems({ manifest, tarball, files }: Packed): Promise<string[]> {
  const found: string[] = [];
  for (const file of files) {
    if (/\.test\.|^src\/|^test\/|tsconfig|tsup\.config/.test(file)) found.push(`packs ${file}`);
  }
  if (JSON.stringify(manifest).includes('"development"')) {
    found.push('has the `development` condition, which names sources that are not packed');
  }
  if (/"(?:workspace|catalog):/.test(JSON.stringify(manifest))) {
    found.push('has a version that only this workspace understands');
  }
  const bytes = await readFile(tarball);
  const { messages } = await publint({
    pack: { tarball: new Uint8Array(bytes).buffer },
    strict: true,
  });
  found.push(...messages.map((message) => `publint: ${formatMessage(message, manifest)}`));
  if (manifest.exports) {
    const attw = run(bin('attw'), [tarball, '--profile', 'esm-only', '--format', 'ascii']);
    await attw.catch((error: { stdout?: string }) => found.push(`attw: ${error.stdout ?? error}`));
  }
  return found;
}

/** What somebody who installed rwkv-js tries first. */
const firstTry = `
  import { loadModel, openDevice } from 'rwkv-js';
  const model = await loadModel({ device: await openDevice() });
  for await (const piece of model.generate({ prompt: 'Once upon a time', maxTokens: 4 })) {
    process.stdout.write(piece);
  }
`;

/** Installs all tarballs together as a user would, imports each, and uses the embedded model. */
async function installAndLoad(packed: readonly Packed[], folder: string): Promise<void> {
  await writeFile(join(folder, 'package.json'), '{ "private": true, "type": "module" }');
  const quiet = ['--no-audit', '--no-fund', '--prefer-offline', '--loglevel=error'];
  await run('npm', ['install', ...quiet, ...packed.map((one) => one.tarball)], { cwd: folder });
  for (const { manifest } of packed) {
    if (manifest.exports) {
      const load = `await import('${manifest.name}')`;
      await run(process.execPath, ['--input-type=module', '-e', load], { cwd: folder });
    }
    for (const command of Object.keys(manifest.bin ?? {})) {
      await run(join(folder, 'node_modules/.bin', command), ['--help'], { cwd: folder });
    }
  }
  const story = await run(process.execPath, ['--input-type=module', '-e', firstTry], {
    cwd: folder,
  });
  if (story.stdout === '') throw new Error('the installed packages generated no text');
  console.log(`Installed together, they load and write: Once upon a time${story.stdout}`);
}

const folder = await mkdtemp(join(tmpdir(), 'packed-'));
try {
  const packed: Packed[] = [];
  let failed = false;
  for (const source of await publishable()) {
    const one = await pack(source, folder);
    packed.push(one);
    const kilobytes = ((await stat(one.tarball)).size / 1000).toFixed(1).padStart(9);
    console.log(
      `${one.manifest.name.padEnd(24)} ${kilobytes} KB packed, ${one.files.length} files`,
    );
    for (const problem of await problems(one)) {
      failed = true;
      console.error(`  ${problem}`);
    }
  }
  await installAndLoad(packed, folder);
  if (failed) process.exitCode = 1;
} finally {
  await rm(folder, { recursive: true, force: true });
}
