import { elementCount, type Device, type DeviceTensor, type States } from '@rwkv-js/tensor';
import { isSequenceState } from './session-state.ts';
import type { RestingState } from './slots.ts';

/**
 * A second copy of every slot's state on the device, to go back to when writing went on past a stop.
 * What only sampling needs is not kept: whatever is drawn after going back begins with a record of
 * its own.
 */
export class Checkpoints {
  /** Bytes that they take on the device. */
  readonly byteLength: number;
  readonly #device: Device;
  readonly #pairs: readonly {
    readonly name: string;
    readonly state: DeviceTensor;
    readonly copy: DeviceTensor;
  }[] = [];

  /** @throws DeviceError without memory. */
  constructor(device: Device, states: States) {
    this.#device = device;
    const pairs: { name: string; state: DeviceTensor; copy: DeviceTensor }[] = [];
    let bytes = 0;
    try {
      for (const [name, state] of states.tensors) {
        if (!isSequenceState(name)) continue;
        const copy = device.allocate(state.spec, { label: `checkpoint of ${name}` });
        pairs.push({ name, state, copy });
        bytes += device.kernels.memory.byteLength(state.spec);
      }
    } catch (error) {
      for (const { copy } of pairs) copy.dispose();
      throw error;
    }
    this.#pairs = pairs;
    this.byteLength = bytes;
  }

  /** Queues copying of the slots' states, which are ascending; neighbours are copied together. */
  keep(slots: readonly number[]): void {
    const runs: { first: number; count: number }[] = [];
    for (const slot of slots) {
      const last = runs.at(-1);
      if (last && last.first + last.count === slot) last.count += 1;
      else runs.push({ first: slot, count: 1 });
    }
    for (const { state, copy } of this.#pairs) {
      const size = elementCount(state.spec.shape.slice(1));
      for (const { first, count } of runs) {
        const range = { start: first * size, count: count * size };
        this.#device.copy(state, copy, range, range.start);
      }
    }
  }

  /** Queues putting a slot's state back to what was kept. */
  restore(slot: number): void {
    for (const { state, copy } of this.#pairs) {
      const count = elementCount(state.spec.shape.slice(1));
      this.#device.copy(copy, state, { start: slot * count, count }, slot * count);
    }
  }

  /** What was kept of a slot, in host memory. */
  async read(slot: number): Promise<RestingState> {
    const entries = await Promise.all(
      this.#pairs.map(async ({ name, copy }) => {
        const count = elementCount(copy.spec.shape.slice(1));
        return [name, await this.#device.read(copy, { start: slot * count, count })] as const;
      }),
    );
    return new Map(entries);
  }

  /** Gives their memory back. Idempotent. */
  dispose(): void {
    for (const { copy } of this.#pairs) copy.dispose();
  }
}
