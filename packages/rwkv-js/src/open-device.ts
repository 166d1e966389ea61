import { openCpu } from '@rwkv-js/core';
import { UsageError, type Device } from '@rwkv-js/tensor';
import { openWasm } from '@rwkv-js/wasm';

/** Devices by the name that `openDevice` and the command line take. */
const openers: Readonly<Record<string, () => Device | Promise<Device>>> = {
  wasm: () => openWasm(),
  cpu: () => openCpu(),
};

/** The names of all devices. */
export const deviceNames: readonly string[] = Object.keys(openers);

/**
 * Opens the device that models run on.
 *
 * @param name `wasm`: SIMD in worker threads, see `openWasm`; `cpu`: the reference device, plain loops on one
 * thread
 * @throws UsageError for a name that is none of `deviceNames`.
 */
export async function openDevice(name = 'wasm'): Promise<Device> {
  const open = Object.hasOwn(openers, name) ? openers[name] : undefined;
  if (open) return open();
  throw new UsageError(`there is no device '${name}'; choose one of: ${deviceNames.join(', ')}`);
}
