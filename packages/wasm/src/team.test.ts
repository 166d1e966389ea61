import { add } from '@rwkv-js/core';
import { DeviceError, f32, record } from '@rwkv-js/tensor';
import { describe, expect, test } from 'vitest';
import { WasmDevice } from './device.ts';
import { sharedKernels } from './generated/kernels.ts';
import { workerScript } from './generated/worker.ts';
import { openWasm } from './open.ts';
import { Team } from './team.ts';

const module = await WebAssembly.compile(Buffer.from(sharedKernels, 'base64'));
const memory = (): WebAssembly.Memory =>
  new WebAssembly.Memory({ initial: 2, maximum: 65536, shared: true });

/** A device whose workers run another program first. */
async function openWith(prelude: string, threads: number): Promise<WasmDevice> {
  return new WasmDevice(await Team.begin(prelude + workerScript, module, threads, memory()));
}

const chain = record('chain', (recorder) => {
  let x = recorder.input('x', f32(1000));
  for (let i = 0; i < 50; i++) x = add(x, x);
  return { x };
});

describe('workers that fail', () => {
  test('while they begin: opening throws', async () => {
    const opening = openWith("throw new Error('no memory for it');", 2);
    await expect(opening).rejects.toThrow(DeviceError);
    await expect(opening).rejects.toThrow(/device wasm failed: worker \d of 2 failed: .*no memory/);
  });

  test('in the middle of a run, while the others wait for them: reading throws, and goes on throwing', async () => {
    // Workers but the first sleep here until a run begins; this one ends instead of doing its share.
    const prelude =
      'const wait = Atomics.wait; Atomics.wait = (...of) => { wait(...of); process.exit(1); };';
    const device = await openWith(prelude, 2);
    const step = await device.compile(chain);
    const tensor = device.allocate(f32(1));
    step.run({ x: new Float32Array(1000) });
    await expect(step.read('x')).rejects.toThrow(
      'device wasm failed: worker 1 of 2 failed: it has ended',
    );
    expect((await device.lost).message).toContain('worker 1 of 2');
    // Runs are taken and do nothing; all that waits throws the same error.
    step.run({ x: new Float32Array(1000) });
    await expect(step.read('x')).rejects.toThrow('worker 1 of 2');
    await expect(device.read(tensor)).rejects.toThrow(DeviceError);
    await expect(device.compile(chain)).rejects.toThrow(DeviceError);
    await device.dispose();
  });

  test('the first one, with a command: what waits throws', async () => {
    const device = await openWith('', 1);
    const tensor = device.allocate(f32(4));
    device.team.send({ kind: 'copy', from: NaN, to: -1, byteLength: 2 ** 40 });
    device.team.send({ kind: 'write', address: 2 ** 40, bytes: new Uint8Array(1) });
    await expect(device.read(tensor)).rejects.toThrow(/device wasm failed: .*; open a new one/);
    await device.dispose();
  });
});

describe('dispose', () => {
  test('waits for what is queued, and is idempotent', async () => {
    const device = await openWasm({ threads: 2 });
    const step = await device.compile(chain);
    step.run({ x: new Float32Array(1000).fill(1) });
    const reading = step.read('x');
    await Promise.all([device.dispose(), device.dispose()]);
    expect((await reading).x[0]).toBe(2 ** 50);
    expect(() => step.run({ x: new Float32Array(1000) })).toThrow('device wasm was disposed');
    await expect(step.read('x')).rejects.toThrow('device wasm was disposed');
  });

  // Threads start late on a machine that has other work.
  test(
    'gives everything back: devices can be opened again and again',
    { timeout: 60_000 },
    async () => {
      for (let i = 0; i < 6; i++) {
        await using device = await openWasm({ threads: 2 });
        const step = await device.compile(chain);
        step.run({ x: new Float32Array(1000).fill(i) });
        expect((await step.read('x')).x[999]).toBe(i * 2 ** 50);
      }
    },
  );

  test('of programs and tensors returns their memory', async () => {
    await using device = await openWith('', 1);
    const taken: number[] = [];
    for (let i = 0; i < 20; i++) {
      const tensor = device.allocate(f32(100_000));
      const step = await device.compile(chain);
      step.run({ x: new Float32Array(1000) });
      await step.read('x');
      step.dispose();
      tensor.dispose();
      await device.read(device.allocate(f32(0)));
      taken.push(device.team.taken);
    }
    // One empty tensor stays each time.
    expect(taken.at(-1)! - taken[1]!).toBe(18 * 64);
  });
});

test('a memory of its own serves one worker as well', async () => {
  const { singleKernels } = await import('./generated/kernels.ts');
  const single = await WebAssembly.compile(Buffer.from(singleKernels, 'base64'));
  await using device = new WasmDevice(await Team.begin(workerScript, single, 1, undefined));
  const step = await device.compile(chain);
  const tensor = device.allocate(f32(3_000_000));
  device.write(tensor, new Float32Array(3_000_000).fill(3));
  step.run({ x: new Float32Array(1000).fill(1) });
  expect((await step.read('x')).x[0]).toBe(2 ** 50);
  expect(await device.read(tensor, { start: 2_999_999, count: 1 })).toEqual(Float32Array.of(3));
  tensor.dispose();
  expect(await device.read(device.allocate(f32(1000)))).toEqual(new Float32Array(1000));
});
