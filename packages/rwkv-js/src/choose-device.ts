import { linear } from '@rwkv-js/core';
import {
  f16,
  f32,
  loadParameters,
  record,
  type Device,
  type Value,
  type WeightSource,
} from '@rwkv-js/tensor';

/** A device that was looked at. */
export interface DeviceCandidate {
  readonly name: string;
  /** What it is; undefined where it does not open. */
  readonly description?: string;
  /** Why it does not open. */
  readonly refusal?: string;
  /** Bytes of weights that it multiplies a second with one row, as decoding does. */
  readonly bytesPerSecond?: number;
  readonly chosen: boolean;
}

const width = 1024;
const products = 4;

/** Milliseconds after which no further round is begun. */
const enoughTime = 100;

/**
 * Opens the device that multiplies fastest, by a short measurement: names promise little, as a software
 * driver of WebGPU is slower than the processor that it runs on.
 *
 * @param openers devices to look at, by name
 * @returns the device, and what was found of each; those that were not chosen are closed again
 */
export async function chooseDevice(
  openers: Readonly<Record<string, () => Device | Promise<Device>>>,
): Promise<{ readonly device: Device; readonly candidates: readonly DeviceCandidate[] }> {
  let best: { device: Device; rate: number } | undefined;
  const found: Omit<DeviceCandidate, 'chosen'>[] = [];
  for (const [name, open] of Object.entries(openers)) {
    let device: Device | undefined;
    try {
      device = await open();
      const rate = await measure(device);
      found.push({ name, description: device.info.description, bytesPerSecond: rate });
      if (best === undefined || rate > best.rate) {
        await best?.device.dispose();
        best = { device, rate };
      } else await device.dispose();
    } catch (error) {
      await device?.dispose();
      found.push({ name, refusal: error instanceof Error ? error.message : String(error) });
    }
  }
  if (!best) throw new Error(found.map(({ name, refusal }) => `${name}: ${refusal}`).join('; '));
  const { device } = best;
  return {
    device,
    candidates: found.map((one) => ({ ...one, chosen: one.name === device.info.name })),
  };
}

/** Bytes of f16 weights a second, one row at a time: the best of a few short rounds. */
async function measure(device: Device): Promise<number> {
  const names = Array.from({ length: products }, (_, i) => `weight${i}`);
  const program = record('measurement', (recorder) => {
    const x: Value = recorder.input('x', f32(1, width));
    return {
      y: names.reduce((row, name) => linear(row, recorder.parameter(name, f16(width, width))), x),
    };
  });
  const source: WeightSource = {
    label: 'measurement',
    tensors: new Map(names.map((name) => [name, f16(width, width)])),
    metadata: new Map(),
    read: async () => new Uint8Array(new Uint16Array(width * width).fill(0x1400).buffer),
    close: async () => undefined,
  };
  const parameters = await loadParameters(device, [program], source);
  const step = await device.compile(program, { parameters: parameters.tensors });
  const x = new Float32Array(width).fill(1);
  let best = Infinity;
  const begun = performance.now();
  // One step alone first: it warms up, and a device that takes long for it is not asked for more.
  for (const steps of [1, 4, 4]) {
    const started = performance.now();
    for (let i = 0; i < steps; i++) step.run({ x });
    await step.read('y');
    best = Math.min(best, (performance.now() - started) / steps);
    if (performance.now() - begun > enoughTime) break;
  }
  step.dispose();
  parameters.dispose();
  return (products * width * width * 2) / (best / 1000);
}

/** What was found, a line each, for people. */
export function formatCandidates(candidates: readonly DeviceCandidate[]): string {
  return candidates
    .map(({ name, description, refusal, bytesPerSecond, chosen }) => {
      const rate = bytesPerSecond && `${(bytesPerSecond / 1e9).toFixed(1)} GB/s of weights`;
      return `${chosen ? '*' : ' '} ${name}: ${refusal ?? `${rate}; ${description}`}`;
    })
    .join('\n');
}
