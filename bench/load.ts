import { execFileSync, spawnSync } from 'node:child_process';
import { mkdtemp, readFile, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { releasedShapes, rwkv7Entries, type Rwkv7Shape } from '@rwkv-js/language';
import { randomWeights } from '@rwkv-js/testing';
import { loadModel, openDevice, openWeights, writeSafetensors } from 'rwkv-js';
import { formatTable, spread } from './table.ts';

const megabytes = (bytes: number): string => (bytes / 1e6).toFixed(0);

/**
 * Memory and time of loading: the most memory that a process had beyond what it had before it loaded,
 * beside the bytes of the parameters; and the seconds beside those of reading the file with `cat`. Of
 * RWKV-7 0.1B, or of another released size: `npm run bench -- load 1.5b`.
 */
export async function benchLoad(size = process.argv[3] ?? '0.1b'): Promise<void> {
  const sizes = releasedShapes[size];
  if (!sizes) throw new Error(`${size} is none of ${Object.keys(releasedShapes).join(', ')}`);
  const folder = await mkdtemp(join(tmpdir(), 'rwkv-js-'));
  try {
    const path = join(folder, 'model.safetensors');
    console.error(`writing a random RWKV-7 ${size} in f16 ...`);
    await writeModel(path, sizes);
    const loads: LoadResult[] = [];
    const cats: number[] = [];
    for (let round = 0; round < (size === '0.1b' ? 5 : 3); round++) {
      const start = performance.now();
      execFileSync('sh', ['-c', 'cat "$1" > /dev/null', 'sh', path]);
      cats.push((performance.now() - start) / 1000);
      loads.push(loadInChild(path));
    }
    const [{ parameters, largest }] = loads as [LoadResult];
    const peak = spread(loads.map((load) => load.peak));
    const bound = parameters + 3 * largest + 64e6;
    console.log(
      formatTable(
        ['MB', 'parameters', 'largest tensor', 'peak above idle', 'least–most', 'bound'],
        [
          [
            `RWKV-7 ${size}, f16`,
            megabytes(parameters),
            megabytes(largest),
            megabytes(peak.median),
            `${megabytes(peak.least)}–${megabytes(peak.most)}`,
            megabytes(bound),
          ],
        ],
      ),
    );
    console.log('bound: parameters + 3 × the largest tensor + 64 MB\n');
    const seconds = spread(loads.map((load) => load.seconds));
    const cat = spread(cats);
    console.log(
      `load ${seconds.median.toFixed(2)} s (${seconds.least.toFixed(2)}–${seconds.most.toFixed(2)})`,
    );
    console.log(`cat  ${cat.median.toFixed(2)} s (${cat.least.toFixed(2)}–${cat.most.toFixed(2)})`);
  } finally {
    await rm(folder, { recursive: true });
  }
}

async function writeModel(path: string, sizes: Rwkv7Shape): Promise<void> {
  const source = randomWeights(rwkv7Entries(sizes, 'f16'));
  const tensors = [...source.tensors].map(([name, entry]) => ({ name, ...entry }));
  const writer = await writeSafetensors(path, tensors);
  for (const { name } of tensors) await writer.write(name, await source.read(name));
  await writer.close();
}

interface LoadResult {
  readonly parameters: number;
  readonly largest: number;
  /** Bytes above the idle process. */
  readonly peak: number;
  readonly seconds: number;
}

function loadInChild(path: string): LoadResult {
  const { stdout, stderr, status } = spawnSync(
    process.execPath,
    [...process.execArgv, fileURLToPath(import.meta.url), path],
    { encoding: 'utf8' },
  );
  if (status !== 0) throw new Error(`the loading process failed: ${stderr}`);
  return JSON.parse(stdout) as LoadResult;
}

/** The most memory this process has had, bytes. */
async function peakMemory(): Promise<number> {
  const status = await readFile('/proc/self/status', 'utf8').catch(() => '');
  const found = /VmHWM:\s+(\d+) kB/.exec(status);
  return found ? Number(found[1]) * 1024 : process.resourceUsage().maxRSS * 1024;
}

// Started with a path, this file is the process that loads it.
if (process.argv[1] === fileURLToPath(import.meta.url)) {
  const path = process.argv[2]!;
  const idle = await peakMemory();
  const device = await openDevice('cpu');
  const start = performance.now();
  const model = await loadModel(path, { device });
  const seconds = (performance.now() - start) / 1000;
  const peak = (await peakMemory()) - idle;
  const source = await openWeights(path);
  const largest = Math.max(
    ...[...source.tensors.values()].map(({ dtype, shape: sizes }) =>
      sizes.reduce((a, b) => a * b, dtype === 'f32' ? 4 : 2),
    ),
  );
  await source.close();
  console.log(JSON.stringify({ parameters: model.bytes.parameters, largest, peak, seconds }));
}
