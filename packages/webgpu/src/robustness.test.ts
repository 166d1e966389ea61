import { execFile } from 'node:child_process';
import { fileURLToPath } from 'node:url';
import { promisify } from 'node:util';
import { openCpu } from '@rwkv-js/core';
import { LanguageModel, rwkv7Entries } from '@rwkv-js/language';
import { deviceWith, randomWeights } from '@rwkv-js/testing';
import { DeviceError, f32, UsageError, type Device, type WeightSource } from '@rwkv-js/tensor';
import { expect, onTestFinished, test } from 'vitest';
import { describeOn, openForTests } from '../test/adapter.ts';
import type { WebGpuDevice } from './index.ts';
import { checkKnownAnswer } from './known-answer.ts';

const vocabularySize = 40;
const weights = (seed: number): WeightSource =>
  randomWeights(
    rwkv7Entries(
      {
        layers: 1,
        width: 32,
        feedForwardWidth: 64,
        headSize: 16,
        vocabularySize,
        ranks: { w: 8, a: 8, v: 8, g: 8 },
      },
      'f32',
    ),
    seed,
  );
const endless = { maxTokens: 100_000, temperature: 0, stopTokens: [], seed: 1 };

const opened = await openForTests();
await opened?.dispose();

/** A device of the test's own, since it does not outlive it. */
async function openOne(): Promise<WebGpuDevice> {
  const device = (await openForTests())!;
  onTestFinished(() => device.dispose());
  return device;
}

describeOn(opened, 'a WebGPU device that fails', () => {
  test('in the midst of writing ends what waits, and a state goes on with another', async () => {
    const device = await openOne();
    const model = await LanguageModel.load(weights(1), { device });
    const session = model.session();
    await session.feed([1, 2, 3]);
    const state = await session.save();
    const generation = session.generate(endless);
    const failed = expect(generation.text()).rejects.toThrow(DeviceError);
    await expect.poll(() => generation.tokens.length).toBeGreaterThan(0);
    device.gpu.destroy();
    await failed;
    await expect(model.session().feed([1, 2])).rejects.toThrow(/was lost/);
    await model.dispose();

    const other = await openOne();
    await using again = await LanguageModel.load(weights(1), { device: other });
    const restored = again.session({ state });
    const text = restored.generate({ ...endless, maxTokens: 5 });
    await text.text();
    expect(text.tokens.length).toBe(5);
  });

  test('while a model is loaded fails the loading', async () => {
    const device = await openOne();
    const loading = LanguageModel.load(weights(1), {
      device,
      progress: () => device.gpu.destroy(),
    });
    await expect(loading).rejects.toThrow(DeviceError);
  });

  test('for want of memory says so, to all that comes after', async () => {
    const device = await openOne();
    const over = { ...f32(1), shape: [Math.ceil(device.gpu.limits.maxBufferSize / 4) + 64] };
    expect(() => device.allocate(over, { label: 'head' })).toThrow(
      /device webgpu has no buffer of \d+ bytes for 'head'; its largest is \d+/,
    );
    // Drivers tell that memory is out by an event, some time after.
    const error = new GPUOutOfMemoryError('no room for a buffer');
    const event = Object.assign(new Event('uncapturederror'), { error });
    device.gpu.dispatchEvent(event);
    const { message } = await device.lost;
    expect(message).toMatch(/device webgpu is out of memory: no room .* use a smaller model/);
    await expect(LanguageModel.load(weights(1), { device })).rejects.toThrow(/out of memory/);
  });

  test('by what it computes is not taken: the known answer is missed', async () => {
    await using inner = openCpu();
    await checkKnownAnswer(inner);
    const garbage = deviceWith(inner, {
      executable: (own) => ({
        read: async (...names) => {
          const read = await own.read(...names);
          for (const values of Object.values<{ [i: number]: number }>(read)) values[5] = 7;
          return read;
        },
      }),
    });
    await expect(checkKnownAnswer(garbage)).rejects.toThrow(
      /device cpu .* computes wrong numbers: 7 where .* is right; update the graphics driver/,
    );
  });
});

/** What a model writes on a device, alone. */
async function written(device: Device, seed: number): Promise<readonly number[]> {
  await using model = await LanguageModel.load(weights(seed), { device });
  const generation = model.generate({ ...endless, maxTokens: 24 });
  await generation.text();
  return generation.tokens;
}

describeOn(opened, 'a WebGPU device that is shared', () => {
  test('runs two models at once as each alone', async () => {
    const device = await openOne();
    const alone = [await written(device, 1), await written(device, 2)];
    expect(alone[0]).not.toEqual(alone[1]);
    expect(await Promise.all([written(device, 1), written(device, 2)])).toEqual(alone);
  });

  test('is disposed while a model writes: that ends with an error, and nothing hangs', async () => {
    const device = await openOne();
    const model = await LanguageModel.load(weights(1), { device });
    const generation = model.generate(endless);
    const failed = expect(generation.text()).rejects.toThrow(/disposed|destroyed|lost/);
    await expect.poll(() => generation.tokens.length).toBeGreaterThan(0);
    await device.dispose();
    await failed;
    await model.dispose();
    expect(() => device.allocate(f32(1))).toThrow(UsageError);
  });
});

describeOn(opened, 'a process with a WebGPU device', () => {
  test.each(['dispose', 'leave'])(
    'that rests uses no core, and ends by itself: %s',
    async (how) => {
      const script = fileURLToPath(new URL('../test/idle.ts', import.meta.url));
      const { stdout } = await promisify(execFile)(
        process.execPath,
        ['--import', 'tsx', '--conditions=development', script, how],
        { timeout: 60_000 },
      );
      expect(Number(stdout)).toBeLessThan(200);
    },
  );
});
