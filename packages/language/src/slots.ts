import {
  elementCount,
  filled,
  type Device,
  type DeviceTensor,
  type HostArray,
  type Program,
  type States,
} from '@rwkv-js/tensor';
import type { Checkpoints } from './checkpoints.ts';

/** State tensors of one sequence in host memory, by name. */
export type RestingState = ReadonlyMap<string, HostArray>;

/** A sequence as the slots see it: it sits in a slot of the device's states, or rests on the host. */
export class Sequence {
  /** Where it sits; undefined while it rests. */
  slot: number | undefined;
  /** Its state while it rests; undefined for one that has not begun. */
  resting: RestingState | undefined;
  /**
   * The state to go back to while it is not known how much stays of what was drawn: in the slot's
   * checkpoint, or on the host when the sequence had to make room.
   */
  checkpoint: 'on the device' | RestingState | undefined;
  /** The error that took its state, when a step failed. */
  lost: Error | undefined;
}

/**
 * The slots of a model's states. Any number of sequences share them: one that needs a slot takes
 * that of the sequence that has been idle for longest, whose state is brought to the host.
 */
export class Slots {
  readonly #device: Device;
  readonly #states: States;
  readonly #fills: ReadonlyMap<string, number>;
  readonly #checkpoints: Checkpoints | undefined;
  readonly #initial: RestingState;
  readonly #sitting: (Sequence | undefined)[];
  /** Slots by use, the longest idle first. */
  readonly #order: number[];

  /**
   * @param initial states that begin with other values than the program's, for one sequence
   * @param checkpoints needed for `checkpoint` only
   */
  constructor(
    device: Device,
    states: States,
    program: Program,
    count: number,
    initial: RestingState = new Map(),
    checkpoints?: Checkpoints,
  ) {
    this.#device = device;
    this.#states = states;
    this.#initial = initial;
    this.#checkpoints = checkpoints;
    this.#fills = new Map([...program.states].map(([name, { fill }]) => [name, fill]));
    this.#sitting = Array.from({ length: count }, () => undefined);
    this.#order = this.#sitting.map((_, slot) => slot);
  }

  get count(): number {
    return this.#sitting.length;
  }

  /** Gives every sequence a slot, at most as many as there are; others make room. */
  async seat(sequences: readonly Sequence[]): Promise<void> {
    const staying = new Set(sequences);
    for (const sequence of sequences) {
      if (sequence.slot === undefined) {
        const slot = this.#order.find((at) => {
          const sitting = this.#sitting[at];
          return sitting === undefined || !staying.has(sitting);
        })!;
        await this.#unseat(slot);
        this.#write(slot, sequence.resting);
        this.#sitting[slot] = sequence;
        sequence.slot = slot;
        sequence.resting = undefined;
      }
      const slot = sequence.slot;
      this.#order.splice(this.#order.indexOf(slot), 1);
      this.#order.push(slot);
    }
  }

  /** The state of a sequence, wherever it is; a sequence that has not begun has the first values. */
  async read(sequence: Sequence): Promise<RestingState> {
    if (sequence.slot !== undefined) return this.#readSlot(sequence.slot);
    return sequence.resting ?? this.#first();
  }

  /** Sets one state of a sequence, which must have a slot. */
  set(sequence: Sequence, name: string, data: HostArray): void {
    const tensor = this.#states.tensors.get(name)!;
    this.#device.write(tensor, data, this.#range(tensor, sequence.slot!));
  }

  /** The tokens drawn last, i32 [slots, stepsPerReadback], when the steps queued before are done. */
  async readDrawn(): Promise<HostArray> {
    return this.#device.read(this.#states.tensors.get('sampler.drawn')!);
  }

  /** Keeps the states of sequences that sit in ascending slots, so that they can go back to them. */
  checkpoint(sequences: readonly Sequence[]): void {
    this.#checkpoints!.keep(sequences.map(({ slot }) => slot!));
    for (const sequence of sequences) sequence.checkpoint = 'on the device';
  }

  /** Puts a sequence back to its checkpoint, which is then forgotten. */
  rewind(sequence: Sequence): void {
    const { checkpoint } = sequence;
    sequence.checkpoint = undefined;
    if (checkpoint === 'on the device') this.#checkpoints!.restore(sequence.slot!);
    else if (checkpoint) sequence.resting = checkpoint;
  }

  /** Frees the slot of a sequence; its state is forgotten. */
  leave(sequence: Sequence): void {
    if (sequence.slot !== undefined) this.#sitting[sequence.slot] = undefined;
    sequence.slot = undefined;
    sequence.resting = undefined;
    sequence.checkpoint = undefined;
  }

  async #unseat(slot: number): Promise<void> {
    const sequence = this.#sitting[slot];
    if (!sequence) return;
    const [resting, checkpoint] = await Promise.all([
      this.#readSlot(slot),
      sequence.checkpoint === 'on the device' ? this.#checkpoints!.read(slot) : undefined,
    ]);
    sequence.resting = resting;
    // By now it may be known that all stays.
    if (sequence.checkpoint !== undefined) sequence.checkpoint = checkpoint;
    sequence.slot = undefined;
    this.#sitting[slot] = undefined;
  }

  async #readSlot(slot: number): Promise<RestingState> {
    const entries = await Promise.all(
      [...this.#states.tensors].map(
        async ([name, tensor]) =>
          [name, await this.#device.read(tensor, this.#range(tensor, slot))] as const,
      ),
    );
    return new Map(entries);
  }

  #write(slot: number, state: RestingState | undefined): void {
    const first = this.#first();
    for (const [name, tensor] of this.#states.tensors) {
      this.#device.write(tensor, state?.get(name) ?? first.get(name)!, this.#range(tensor, slot));
    }
  }

  #first(): RestingState {
    return new Map(
      [...this.#states.tensors].map(([name, tensor]) => {
        const { dtype, shape } = tensor.spec;
        const first = (): HostArray =>
          filled({ dtype, shape: shape.slice(1) }, this.#fills.get(name)!);
        return [name, this.#initial.get(name) ?? first()];
      }),
    );
  }

  #range({ spec }: DeviceTensor, slot: number): { start: number; count: number } {
    const count = elementCount(spec.shape.slice(1));
    return { start: slot * count, count };
  }
}
