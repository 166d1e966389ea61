import type {
  Device,
  DeviceTensor,
  Executable,
  KernelTable,
  Program,
  WeightSource,
} from '@rwkv-js/tensor';
import type { ModelConfig } from './config.ts';
import { recordStep } from './frame.ts';
import type { DTypes } from './layer.ts';

/** The step programs of a model, one for each number of tokens and rows, recorded when first needed. */
export class StepPrograms {
  readonly #config: ModelConfig;
  readonly #dtypes: DTypes;
  readonly #slots: number;
  readonly #table: Pick<KernelTable, 'activations' | 'stepsPerReadback' | 'tokenBuckets'>;
  readonly #change: (program: Program) => Program;
  readonly #programs = new Map<string, Program>();

  /**
   * @param table of the device that they are for
   * @param change what is made of each program that is recorded
   */
  constructor(
    config: ModelConfig,
    source: Pick<WeightSource, 'tensors'>,
    slots: number,
    table: KernelTable,
    change: (program: Program) => Program = (program) => program,
  ) {
    this.#table = table;
    this.#change = change;
    this.#config = config;
    this.#dtypes = new Map([...source.tensors].map(([name, { dtype }]) => [name, dtype]));
    this.#slots = slots;
  }

  /**
   * Programs that together take every parameter that any of them takes: what a device has a kernel for with one
   * token may be smaller operations with many, and have other values made at load.
   */
  forLoading(): readonly Program[] {
    return this.#table.tokenBuckets.slice(0, 2).map((tokens) => this.program(tokens, 1));
  }

  /** @param tokens rows of tokens the step takes @param rows rows of logits it gives */
  program(tokens: number, rows: number): Program {
    const key = `${tokens} ${rows}`;
    const known = this.#programs.get(key);
    if (known) return known;
    const { activations, stepsPerReadback } = this.#table;
    const shape = { tokens, rows, slots: this.#slots, activations, stepsPerReadback };
    const program = this.#change(recordStep(this.#config, this.#dtypes, shape));
    this.#programs.set(key, program);
    return program;
  }
}

/** The compiled steps of a model on its device. */
export class StepExecutables {
  readonly #programs: StepPrograms;
  readonly #device: Device;
  readonly #tensors: {
    readonly parameters: ReadonlyMap<string, DeviceTensor>;
    readonly states: ReadonlyMap<string, DeviceTensor>;
  };
  readonly #compiled = new Map<Program, Executable>();

  constructor(
    programs: StepPrograms,
    device: Device,
    parameters: ReadonlyMap<string, DeviceTensor>,
    states: ReadonlyMap<string, DeviceTensor>,
  ) {
    this.#programs = programs;
    this.#device = device;
    this.#tensors = { parameters, states };
  }

  async get(tokens: number, rows: number): Promise<Executable> {
    const program = this.#programs.program(tokens, rows);
    const known = this.#compiled.get(program);
    if (known) return known;
    const executable = await this.#device.compile(program, this.#tensors);
    this.#compiled.set(program, executable);
    return executable;
  }

  dispose(): void {
    for (const executable of this.#compiled.values()) executable.dispose();
    this.#compiled.clear();
  }
}
