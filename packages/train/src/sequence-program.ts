import type { ModelConfig } from '@rwkv-js/language';
import {
  allocateStates,
  declared,
  elementCount,
  type Device,
  type DeviceTensor,
  type Executable,
  type Program,
  type States,
} from '@rwkv-js/tensor';
import type { BatchShape } from './accumulate.ts';
import { packSequences, type PackedSequences, type TrainingSequence } from './pack.ts';

/** A program that reads whole sequences from their beginning, with the states that it keeps of them. */
export class SequenceProgram {
  readonly executable: Executable;
  readonly #device: Device;
  readonly #config: ModelConfig;
  readonly #shape: BatchShape;
  readonly #states: States;
  /** What the states hold before the first token. */
  readonly #beginning: ReadonlyMap<DeviceTensor, Float32Array>;

  private constructor(
    device: Device,
    config: ModelConfig,
    shape: BatchShape,
    program: Program,
    states: States,
    executable: Executable,
  ) {
    this.#device = device;
    this.#config = config;
    this.#shape = shape;
    this.#states = states;
    this.#beginning = new Map(
      [...states.tensors].map(([name, tensor]) => [
        tensor,
        new Float32Array(elementCount(tensor.spec.shape)).fill(program.states.get(name)!.fill),
      ]),
    );
    this.executable = executable;
  }

  /** @param shared the states that are there already: weights and sums of gradients */
  static async compile(
    device: Device,
    config: ModelConfig,
    shape: BatchShape,
    program: Program,
    shared: ReadonlyMap<string, DeviceTensor>,
  ): Promise<SequenceProgram> {
    const states = allocateStates(device, [program], { except: shared });
    try {
      const all = new Map([...shared, ...states.tensors]);
      const needed = [...declared(program, 'state').keys()];
      const executable = await device.compile(program, {
        states: new Map(needed.map((name) => [name, all.get(name)!])),
      });
      return new SequenceProgram(device, config, shape, program, states, executable);
    } catch (error) {
      states.dispose();
      throw error;
    }
  }

  /** Sequences as the inputs of a run. @throws UsageError when they do not fit. */
  pack(sequences: readonly TrainingSequence[]): PackedSequences {
    return packSequences(sequences, this.#shape, this.#config);
  }

  /** Queues one run over sequences from {@link pack}. */
  run(packed: PackedSequences, inputs: Readonly<Record<string, number[]>> = {}): void {
    for (const [tensor, elements] of this.#beginning) this.#device.write(tensor, elements);
    this.executable.run({ ...packed, ...inputs });
  }

  dispose(): void {
    this.executable.dispose();
    this.#states.dispose();
  }
}
