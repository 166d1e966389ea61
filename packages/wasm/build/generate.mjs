/**
 * Makes what the sources of this package import and what is not committed: src/generated/kernels.ts, the
 * WebAssembly modules of assembly/ as text, and src/generated/worker.ts, the program of the workers as
 * text. So the device is found by Node from its sources, by tests, by any bundler and in any page, and users
 * configure nothing. Does nothing when both are as their sources.
 */
import { createHash } from 'node:crypto';
import { mkdirSync, readdirSync, readFileSync, renameSync, writeFileSync } from 'node:fs';
import { join, relative } from 'node:path';
import { fileURLToPath } from 'node:url';

const root = fileURLToPath(new URL('..', import.meta.url));
const generated = join(root, 'src', 'generated');

/** Makes both files anew where their sources have changed. */
export async function generate() {
  mkdirSync(generated, { recursive: true });
  await refresh('kernels.ts', ['assembly'], async () => {
    const [shared, single] = [await compile(true), await compile(false)];
    return (
      constant('sharedKernels', 'For workers that share a memory; base64.', shared) +
      constant('singleKernels', 'For one worker with a memory of its own; base64.', single)
    );
  });
  await refresh('worker.ts', ['src', '../core/src', '../tensor/src'], async () =>
    constant('workerScript', 'The program of the workers, a classic script.', await bundle()),
  );
}

/**
 * @param {string} name
 * @param {string[]} folders of the sources
 * @param {() => Promise<string>} make
 */
async function refresh(name, folders, make) {
  const hash = createHash('sha256');
  for (const file of [fileURLToPath(import.meta.url), ...folders.flatMap(sourcesOf)]) {
    hash.update(relative(root, file)).update(readFileSync(file));
  }
  const heading = `// Made by build/generate.mjs of sources ${hash.digest('hex')}\n`;
  const path = join(generated, name);
  if (readStart(path, heading.length) === heading) return;
  const text = heading + (await make());
  // Several processes may do this at once: each writes its own file, and the last to rename stays.
  const aside = `${path}.${process.pid}`;
  writeFileSync(aside, text);
  renameSync(aside, path);
}

/**
 * @param {string} path
 * @param {number} length
 */
function readStart(path, length) {
  try {
    return readFileSync(path, 'utf8').slice(0, length);
  } catch {
    return '';
  }
}

/** @param {string} folder */
function sourcesOf(folder) {
  return readdirSync(join(root, folder), { recursive: true, encoding: 'utf8' })
    .filter((name) => name.endsWith('.ts') && !/\.test\.ts$|^generated/.test(name))
    .sort()
    .map((name) => join(root, folder, name));
}

/**
 * @param {string} name
 * @param {string} comment
 * @param {string} value
 */
function constant(name, comment, value) {
  return `\n/** ${comment} */\nexport const ${name} = ${JSON.stringify(value)};\n`;
}

/** @param {boolean} shared whether the memory is shared between workers */
async function compile(shared) {
  const { main } = await import('assemblyscript/asc');
  /** @type {Uint8Array | undefined} */
  let binary;
  // Functions that take vectors are called from within alone, hence no warning 112. The first kilobyte of
  // the memory holds what workers tell each other.
  const options =
    'assembly/index.ts --outFile kernels.wasm -O3 --noAssert --runtime stub --disableWarning 112 ' +
    '--enable simd,threads,bulk-memory --importMemory --memoryBase 1024 --initialMemory 2 --maximumMemory 65536';
  const { error, stderr } = await main(
    [...options.split(' '), '--baseDir', root, ...(shared ? ['--sharedMemory'] : [])],
    {
      writeFile: (_, contents) => {
        if (typeof contents !== 'string') binary = contents;
      },
    },
  );
  if (error || !binary) throw new Error(`assembly/ does not compile: ${stderr.toString()}`);
  return Buffer.from(binary).toString('base64');
}

async function bundle() {
  const { build } = await import('esbuild');
  const result = await build({
    entryPoints: [join(root, 'src', 'worker', 'main.ts')],
    absWorkingDir: root,
    bundle: true,
    write: false,
    format: 'iife',
    target: 'es2022',
    platform: 'neutral',
    conditions: ['development'],
    minify: true,
    // Errors name classes and functions.
    keepNames: true,
  });
  return result.outputFiles[0].text;
}

if (process.argv[1] === fileURLToPath(import.meta.url)) await generate();
