import { DeviceError } from '@rwkv-js/tensor';
import { describe, test } from 'vitest';
import { openWebGpu, type WebGpuDevice, type WebGpuOptions } from '../src/index.ts';

/**
 * Opens the device for tests; undefined where the machine has no adapter. Where VK_DRIVER_FILES names a
 * driver, its absence is a failure.
 */
export async function openForTests(options: WebGpuOptions = {}): Promise<WebGpuDevice | undefined> {
  try {
    return await openWebGpu(options);
  } catch (error) {
    if (!(error instanceof DeviceError) || process.env['VK_DRIVER_FILES']) throw error;
    return undefined;
  }
}

/** Tests that need an adapter: skipped where there is none, with the reason. */
export function describeOn(
  device: WebGpuDevice | undefined,
  name: string,
  tests: (device: WebGpuDevice) => void,
): void {
  if (device) {
    describe(name, () => tests(device));
    return;
  }
  console.warn(`Skipped "${name}": this machine has no WebGPU adapter (tools/gpu/README.md).`);
  test.skip(name, () => undefined);
}
