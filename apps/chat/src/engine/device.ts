import { openDevice, type Device } from 'rwkv-js';
import type { DeviceChoice, DeviceFacts } from './protocol.ts';

export interface OpenedDevice {
  readonly device: Device;
  readonly facts: DeviceFacts;
}

/**
 * Opens the device that is asked for; where WebGPU does not open, WASM with the reason.
 *
 * @throws DeviceError when WASM does not open either.
 */
export async function openChosen(choice: DeviceChoice): Promise<OpenedDevice> {
  let report = '';
  try {
    const device = await openDevice(choice, { report: (lines) => (report = lines) });
    return { device, facts: { ...device.info, report } };
  } catch (error) {
    if (choice === 'wasm') throw error;
    const device = await openDevice('wasm');
    return { device, facts: { ...device.info, report, insteadOf: messageOf(error) } };
  }
}

export function messageOf(error: unknown): string {
  return error instanceof Error ? error.message : String(error);
}
