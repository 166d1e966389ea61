import { openCpu } from '@rwkv-js/core';
import { DeviceError, type Device } from '@rwkv-js/tensor';
import { openWebGpu } from '@rwkv-js/webgpu';
import { expect, test } from 'vitest';
import { loadModel } from '../src/index.ts';

/** The device, or undefined on a machine without an adapter; with VK_DRIVER_FILES there must be one. */
async function opened(): Promise<Device | undefined> {
  try {
    return await openWebGpu();
  } catch (error) {
    if (!(error instanceof DeviceError) || process.env['VK_DRIVER_FILES']) throw error;
    return undefined;
  }
}

async function write(device: Device): Promise<readonly number[]> {
  await using owned = device;
  await using model = await loadModel({ device: owned });
  const generation = model.generate({ maxTokens: 40, temperature: 0 });
  for await (const _ of generation);
  return generation.tokens;
}

test(
  'greedy tokens of the stories model are those of the reference',
  { timeout: 300_000 },
  async (context) => {
    const device = await opened();
    if (!device) return context.skip();
    expect(await write(device)).toEqual(await write(openCpu()));
  },
);
