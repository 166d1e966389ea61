import { openCpu } from '@rwkv-js/core';
import { UsageError, type Device } from '@rwkv-js/tensor';
import { openWasm } from '@rwkv-js/wasm';
import { openWebGpu } from '@rwkv-js/webgpu';
import { chooseDevice, formatCandidates, type DeviceCandidate } from './choose-device.ts';

/** Devices by the name that `openDevice` and the command line take. */
const openers: Readonly<Record<string, () => Device | Promise<Device>>> = {
  webgpu: () => openWebGpu(),
  wasm: () => openWasm(),
  cpu: () => openCpu(),
};

/** The names of all devices. */
export const deviceNames: readonly string[] = ['wasm', 'webgpu', 'cpu', 'auto'];

export interface OpenDeviceOptions {
  /** Takes the lines that tell what `auto` found and chose; the console where it is not given. */
  readonly report?: (lines: string) => void;
}

/**
 * Opens the device that models run on.
 *
 * @param name `wasm`: SIMD in worker threads, see `openWasm`; `cpu`: the reference device, plain loops on
 * one thread; `webgpu`: the graphics processor, in
 * a page, or in Node with the package `webgpu` installed; `auto`: the fastest of them by a short
 * measurement, which it reports
 * @throws UsageError for a name that is none of `deviceNames`; DeviceError when the device does not open.
 */
export async function openDevice(
  name = 'wasm',
  { report = (lines) => console.info(lines) }: OpenDeviceOptions = {},
): Promise<Device> {
  if (name === 'auto') {
    const { device, candidates } = await chooseDevice(openers);
    report(formatCandidates(candidates));
    return device;
  }
  const open = Object.hasOwn(openers, name) ? openers[name] : undefined;
  if (open) return open();
  throw new UsageError(`there is no device '${name}'; choose one of: ${deviceNames.join(', ')}`);
}

/** What `auto` would find on this machine, with the one that it would choose. */
export async function listDevices(): Promise<readonly DeviceCandidate[]> {
  const { device, candidates } = await chooseDevice(openers);
  await device.dispose();
  return candidates;
}
