import { execFileSync, fork, spawnSync } from 'node:child_process';
import { createReadStream } from 'node:fs';
import { mkdtemp, open, readFile, rm, stat } from 'node:fs/promises';
import { createServer } from 'node:http';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { download, openCache } from '@rwkv-js/hub';
import { formatTable, spread } from './table.ts';

const self = fileURLToPath(import.meta.url);
const rounds = 3;
const sizes = [2e9, 5e9];

/**
 * Fetching from a server on this machine to its disk, with the sum taken: bytes a second beside those
 * of curl, which takes none, in turns; and the most memory beyond the idle process, which must not
 * depend on the size.
 */
export async function benchDownload(): Promise<void> {
  const folder = await mkdtemp(join(tmpdir(), 'rwkv-js-'));
  const server = fork(self, ['serve', folder], { execArgv: process.execArgv });
  try {
    const origin = await new Promise<string>((resolve) => server.once('message', resolve));
    const rows: string[][] = [];
    for (const size of sizes) {
      const path = join(folder, String(size));
      const file = await open(path, 'w');
      await file.truncate(size);
      await file.close();
      const curl: number[] = [];
      const ours: Fetched[] = [];
      for (let round = 0; round < rounds; round++) {
        console.error(`${size / 1e9} GB, round ${round + 1} of ${rounds} ...`);
        const copy = join(folder, 'copy');
        const start = performance.now();
        execFileSync('curl', ['-sf', '-o', copy, `${origin}/${size}`]);
        curl.push(size / 1e3 / (performance.now() - start));
        await rm(copy);
        ours.push(fetchInChild(`${origin}/${size}`, join(folder, 'cache')));
        await rm(join(folder, 'cache'), { recursive: true });
      }
      const of = (rates: readonly number[]): string => {
        const { median, least, most } = spread(rates);
        return `${median.toFixed(0)} (${least.toFixed(0)}–${most.toFixed(0)})`;
      };
      const rates = ours.map(({ seconds }) => size / 1e6 / seconds);
      const ratio = spread(rates).median / spread(curl).median;
      const peak = spread(ours.map((one) => one.peak / 1e6));
      rows.push([
        `${size / 1e9} GB`,
        of(curl),
        of(rates),
        ratio.toFixed(2),
        `${peak.median.toFixed(0)} (${peak.least.toFixed(0)}–${peak.most.toFixed(0)})`,
      ]);
    }
    console.log(
      formatTable(['sparse file', 'curl, MB/s', 'hub, MB/s', 'ratio', 'peak above idle, MB'], rows),
    );
  } finally {
    server.kill();
    await rm(folder, { recursive: true });
  }
}

interface Fetched {
  readonly seconds: number;
  /** Bytes above the idle process. */
  readonly peak: number;
}

function fetchInChild(address: string, cache: string): Fetched {
  const options = [...process.execArgv, self, 'fetch', address, cache];
  const { stdout, stderr, status } = spawnSync(process.execPath, options, { encoding: 'utf8' });
  if (status !== 0) throw new Error(`the fetching process failed: ${stderr}`);
  return JSON.parse(stdout) as Fetched;
}

/** The most memory this process has had, bytes. */
async function peakMemory(): Promise<number> {
  const status = await readFile('/proc/self/status', 'utf8').catch(() => '');
  const found = /VmHWM:\s+(\d+) kB/.exec(status);
  return found ? Number(found[1]) * 1024 : process.resourceUsage().maxRSS * 1024;
}

async function fetchOne(address: string, folder: string): Promise<void> {
  const idle = await peakMemory();
  const cache = await openCache({ folder });
  const start = performance.now();
  await download([address], { cache });
  const seconds = (performance.now() - start) / 1000;
  console.log(JSON.stringify({ seconds, peak: (await peakMemory()) - idle } satisfies Fetched));
}

function serve(folder: string): void {
  const server = createServer(async (request, response) => {
    const path = join(folder, request.url ?? '');
    const { size } = await stat(path);
    const [, first, last] = /^bytes=(\d+)-(\d+)$/.exec(request.headers.range ?? '') ?? [];
    const start = Number(first ?? 0);
    const end = Math.min(Number(last ?? size - 1), size - 1);
    const range = first === undefined ? {} : { 'content-range': `bytes ${start}-${end}/${size}` };
    response.writeHead(first === undefined ? 200 : 206, {
      etag: '"sparse"',
      'content-length': end - start + 1,
      ...range,
    });
    createReadStream(path, { start, end, highWaterMark: 2 ** 20 }).pipe(response);
  });
  server.listen(0, '127.0.0.1', () => {
    const where = server.address();
    if (where && typeof where === 'object') process.send?.(`http://127.0.0.1:${where.port}`);
  });
}

// Started with a role, this file is the server or the process that fetches.
if (process.argv[1] === self) {
  const [role, ...rest] = process.argv.slice(2);
  if (role === 'serve') serve(rest[0]!);
  else await fetchOne(rest[0]!, rest[1]!);
}
