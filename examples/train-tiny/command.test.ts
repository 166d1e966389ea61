import { mkdtemp, readdir, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { Writable } from 'node:stream';
import { specificationWeights } from '@rwkv-js/testing';
import { encodeSafetensors } from 'rwkv-js';
import { expect, onTestFinished, test } from 'vitest';
import { run } from './command.ts';

/** Runs a command line in this process. @param written is told of each piece that is printed */
async function trainTiny(
  line: string,
  { signal, written }: { signal?: AbortSignal; written?: (text: string) => void } = {},
): Promise<{ code: number; stdout: string; stderr: string }> {
  const printed = { stdout: '', stderr: '' };
  const stream = (to: 'stdout' | 'stderr') =>
    new Writable({
      write(chunk: Buffer, _, done) {
        printed[to] += chunk.toString();
        if (to === 'stdout') written?.(chunk.toString());
        done();
      },
    });
  const [stdout, stderr] = [stream('stdout'), stream('stderr')];
  const io = { stdout, stderr, signal: signal ?? new AbortController().signal };
  const code = await run(line.split(' '), io);
  return { code, ...printed };
}

async function temporaryFolder(): Promise<string> {
  const folder = await mkdtemp(join(tmpdir(), 'train-tiny-'));
  onTestFinished(() => rm(folder, { recursive: true }));
  return folder;
}

test('the loss falls, and the curve and the accuracies are shown', async () => {
  const { code, stdout } = await trainTiny('--group s3 --seed 1 --steps 40');
  expect(code).toBe(0);
  const losses = [...stdout.matchAll(/loss (\S+)/g)].map(([, loss]) => Number(loss));
  expect(losses[0]).toBeGreaterThan(1.7);
  expect(losses.at(-1)).toBeLessThan(1.5);
  expect(stdout).toContain('accuracy in %, by step');
  expect(stdout).toMatch(/positions {3}1 to 3 {3}accuracy +\d/);
  expect(stdout).toMatch(/positions 37 to 48 .*longer than any it was trained on/);
});

test.each(['4', '7'])(
  'RWKV-%s that was stopped goes on to the same file, bit by bit',
  async (version) => {
    const folder = await temporaryFolder();
    const [straight, stopped] = [join(folder, 'straight'), join(folder, 'stopped')];
    const settings = `--group s3 --version ${version} --seed 2 --steps 6`;
    expect((await trainTiny(`${settings} --save ${straight}`)).code).toBe(0);

    const controller = new AbortController();
    const first = await trainTiny(`${settings} --save ${stopped}`, {
      signal: controller.signal,
      written: (text) => text.startsWith('step 3') && controller.abort(),
    });
    expect(first.code).toBe(130);
    expect(first.stderr).toContain(`Stopped after step 3 and saved; to go on: npm run example`);
    expect(first.stderr).toContain(`--resume ${stopped}`);
    expect(await readFile(stopped)).not.toEqual(await readFile(straight));

    const second = await trainTiny(`--resume ${stopped} --save ${stopped}`);
    expect(second.code).toBe(0);
    expect(second.stdout).toContain(`RWKV-${version} learns S3, seed 2, on cpu, from step 3 of 6`);
    expect(await readFile(stopped)).toEqual(await readFile(straight));
    expect(await readdir(folder)).toEqual(['stopped', 'straight']);
  },
);

test('a file that is no checkpoint of it is refused', async () => {
  const folder = await temporaryFolder();
  const [absent, other] = [join(folder, 'absent'), join(folder, 'other')];
  expect((await trainTiny(`--resume ${absent}`)).stderr).toMatch(/^train-tiny: .*absent/);
  const source = specificationWeights('7');
  const tensors = [...source.tensors].map(async ([name, entry]) => ({
    name,
    ...entry,
    data: await source.read(name),
  }));
  await writeFile(other, encodeSafetensors(await Promise.all(tensors)));
  const { code, stderr } = await trainTiny(`--resume ${other}`);
  expect(code).toBe(1);
  expect(stderr).toContain('is no checkpoint of train-tiny; give a file that --save wrote');
});

test('a place that cannot be written is refused before anything is trained', async () => {
  const folder = await temporaryFolder();
  const { code, stdout, stderr } = await trainTiny(`--save ${folder}/no/file`);
  expect(code).toBe(1);
  expect(stdout).toBe('');
  expect(stderr).toContain('does not exist; make the folder first');
});

test('a file that is there stays as it is while its place is tried', async () => {
  const folder = await temporaryFolder();
  const path = join(folder, 'mine');
  await writeFile(path, 'mine');
  expect((await trainTiny(`--resume ${path} --save ${path}`)).code).toBe(1);
  expect(await readFile(path, 'utf8')).toBe('mine');
});

test.each([
  ['--group s4', /Allowed choices are s3, s5/],
  ['--steps 0', /Give a whole number from 1 to 1000000/],
  ['--seed x', /Give a whole number/],
  ['--resume file --seed 2', /cannot be used with option '--seed <n>'/],
  ['more', /too many arguments/],
])('wrong usage is told in one line: %s', async (line, message) => {
  const { code, stdout, stderr } = await trainTiny(line);
  expect([code, stdout]).toEqual([2, '']);
  expect(stderr).toMatch(message);
  expect(stderr.trim().split('\n')).toHaveLength(1);
});

test('help is no mistake', async () => {
  const { code, stdout } = await trainTiny('--help');
  expect(code).toBe(0);
  expect(stdout).toContain('--resume <file>');
});
