import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { Writable } from 'node:stream';
import { DeviceError, openDevice, openWeights } from 'rwkv-js';
import { expect, onTestFinished, test } from 'vitest';
import { run } from './command.ts';

const steps = 5;

/** Trains until the fifth step and stops there; gives the losses that it printed. */
async function losses(device: string, version: string, path: string): Promise<readonly number[]> {
  const controller = new AbortController();
  let printed = '';
  const stdout = new Writable({
    write(chunk: Buffer, _, done) {
      printed += chunk.toString();
      if (printed.includes(`step  ${steps} of`)) controller.abort();
      done();
    },
  });
  const line = `--version ${version} --seed 3 --steps 50 --device ${device} --save ${path}`;
  const code = await run(line.split(' '), {
    stdout,
    stderr: new Writable({ write: (_, __, done) => done() }),
    signal: controller.signal,
  });
  expect(code).toBe(130);
  return [...printed.matchAll(/loss (\S+)/g)].map(([, loss]) => Number(loss));
}

/** Whether there is an adapter; where VK_DRIVER_FILES names a driver, its absence is a failure. */
async function hasAdapter(): Promise<boolean> {
  try {
    await (await openDevice('webgpu')).dispose();
    return true;
  } catch (error) {
    if (!(error instanceof DeviceError) || process.env['VK_DRIVER_FILES']) throw error;
    return false;
  }
}

test.skipIf(!(await hasAdapter())).each(['4', '7'])(
  'RWKV-%s learns on a graphics processor as it does on the reference device',
  async (version) => {
    const folder = await mkdtemp(join(tmpdir(), 'train-tiny-'));
    onTestFinished(() => rm(folder, { recursive: true }));
    const expected = await losses('cpu', version, join(folder, 'cpu'));
    const found = await losses('webgpu', version, join(folder, 'webgpu'));
    expect(found).toHaveLength(steps);
    found.forEach((loss, i) => expect(loss, `step ${i + 1}`).toBeCloseTo(expected[i]!, 3));
    const saved = await openWeights(join(folder, 'webgpu'));
    expect(saved.metadata.get('rwkv-js.step')).toBe(String(steps));
    await saved.close();
  },
  120_000,
);
