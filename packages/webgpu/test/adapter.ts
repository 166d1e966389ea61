import { DeviceError } from '@rwkv-js/tensor';
import { describe, test } from 'vitest';
import type { Capabilities, WebGpuDevice, WebGpuOptions } from '../src/index.ts';
import { openRestricted } from '../src/open.ts';

/**
 * Dawn clears the memory of work groups by a loop, as WebGPU promises it cleared. With the Vulkan extension that it
 * has for this, SwiftShader writes an instruction an element, and takes five times as long to compile.
 */
const dawn = ['disable-dawn-features=use_vulkan_zero_initialize_workgroup_memory_extension'];

/** True on a software driver that compiles and computes so slowly that tests take fewer models there. */
export const isSlow = process.env['VK_DRIVER_FILES']?.includes('swiftshader') ?? false;

/**
 * Opens the device for tests; undefined where the machine has no adapter. Where VK_DRIVER_FILES names a
 * driver, its absence is a failure.
 *
 * @param restricted what the adapter is to offer less than it does
 */
export async function openForTests(
  options: WebGpuOptions = {},
  restricted: Partial<Capabilities> = {},
): Promise<WebGpuDevice | undefined> {
  try {
    return await openRestricted({ dawn, ...options }, restricted);
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
