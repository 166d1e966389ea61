import { readConfig, type ModelConfig } from '@rwkv-js/language';
import {
  allocateStates,
  elementCount,
  FormatError,
  formatSpec,
  UsageError,
  viewBytes,
  type Device,
  type Executable,
  type HostArray,
  type States,
  type TensorSpec,
  type WeightEntry,
  type WeightSource,
} from '@rwkv-js/tensor';
import { recordAccumulate, recordForward, weightsOf, type BatchShape } from './accumulate.ts';
import { recordApply } from './apply.ts';
import { officialOptimizer, type OptimizerSettings } from './optimizer.ts';
import type { PackedSequences, TrainingSequence } from './pack.ts';
import { SequenceProgram } from './sequence-program.ts';

/** How a model is trained. */
export interface TrainerOptions {
  /** What one run of the accumulating program holds. */
  readonly shape: BatchShape;
  /** `officialOptimizer` of the model's version when left out. */
  readonly optimizer?: OptimizerSettings;
}

/** What precedes a weight's name in the names of its moments. */
const moments = ['first.', 'second.'] as const;

/** A model in training: weights, gradients and moments on a device, and the programs that change them. */
export class Trainer implements AsyncDisposable {
  readonly config: ModelConfig;
  readonly #device: Device;
  readonly #tensors: ReadonlyMap<string, WeightEntry>;
  readonly #states: States;
  readonly #accumulate: SequenceProgram;
  readonly #apply: Executable;
  /** The program that only reads, and the shape it is for. */
  #forward: { readonly key: string; readonly program: SequenceProgram } | undefined;
  #step = 0;
  #accumulated = false;

  private constructor(
    device: Device,
    config: ModelConfig,
    tensors: ReadonlyMap<string, WeightEntry>,
    states: States,
    accumulate: SequenceProgram,
    apply: Executable,
  ) {
    this.#device = device;
    this.config = config;
    this.#tensors = tensors;
    this.#states = states;
    this.#accumulate = accumulate;
    this.#apply = apply;
  }

  /**
   * Puts a model on a device and compiles the programs that train it.
   *
   * @param source f32 weights: `initialWeights`, a model's file, or a checkpoint, whose moments and step
   * are taken up as well
   * @throws FormatError when the source is no whole model, or a damaged checkpoint; UsageError for
   * weights that are not f32; DeviceError without memory.
   */
  static async create(
    device: Device,
    source: WeightSource,
    { shape, optimizer }: TrainerOptions,
  ): Promise<Trainer> {
    const config = readConfig(source);
    const forward = recordForward(config, source.tensors, shape);
    const weights = weightsOf(forward);
    const tensors = checkWeights(weights, source, config);
    const applying = recordApply(weights, optimizer ?? officialOptimizer(config.version));
    const states = allocateStates(device, [applying]);
    try {
      const step = await restore(device, states, tensors, source);
      const apply = await device.compile(applying, { states: states.tensors });
      const program = recordAccumulate(forward, weights.keys());
      const accumulate = await SequenceProgram.compile(
        device,
        config,
        shape,
        program,
        states.tensors,
      );
      const trainer = new Trainer(device, config, tensors, states, accumulate, apply);
      trainer.#step = step;
      return trainer;
    } catch (error) {
      states.dispose();
      throw error;
    }
  }

  /** Steps that were taken with the weights. */
  get step(): number {
    return this.#step;
  }

  /**
   * One training step: the gradients of all batches, each with an equal share, then `apply`. All of it is
   * queued before anything is read, so the device works without a pause.
   *
   * @param batches micro-batches; what one cannot hold at once is several
   * @returns the mean of their losses before the step, nats, and the gradients' norm before it was clipped
   * @throws UsageError when there is no batch, or one does not fit the trainer's shape: nothing was
   * changed; DeviceError when the device failed.
   */
  async trainStep(
    batches: readonly (readonly TrainingSequence[])[],
    rate: number,
  ): Promise<{ readonly loss: number; readonly norm: number }> {
    if (batches.length === 0) {
      throw new UsageError('a training step was given no batch; give one at least');
    }
    const packed = batches.map((sequences) => this.#accumulate.pack(sequences));
    const reading = packed.map((batch) => this.#queue(batch, 1 / packed.length));
    const [norm, ...losses] = await Promise.all([this.apply(rate), ...reading]);
    return { loss: losses.reduce((sum, loss) => sum + loss, 0) / losses.length, norm };
  }

  /**
   * Adds a batch's gradients to those that `apply` will take: `trainStep` in parts.
   *
   * @param share the batch's share of what is applied at once; shares add up to 1
   * @returns the mean cross-entropy of its targets, nats
   * @throws UsageError when the batch does not fit the trainer's shape; DeviceError when the device failed.
   */
  async accumulate(sequences: readonly TrainingSequence[], share = 1): Promise<number> {
    return this.#queue(this.#accumulate.pack(sequences), share);
  }

  /** Queues a batch and the readback of its loss. */
  async #queue(batch: PackedSequences, share: number): Promise<number> {
    this.#accumulate.run(batch, { 'cotangent.loss': [share] });
    this.#accumulated = true;
    const { loss } = await this.#accumulate.executable.read('loss');
    return loss[0]!;
  }

  /**
   * Takes a step with every weight, against the gradients that were accumulated.
   *
   * @returns their norm, before it was clipped
   */
  async apply(rate: number): Promise<number> {
    this.#apply.run({ rate: [rate], step: [this.#step + 1] });
    this.#step += 1;
    this.#accumulated = false;
    const { norm } = await this.#apply.read('norm');
    return norm[0]!;
  }

  /**
   * Runs sequences of any length without learning from them.
   *
   * @returns the mean cross-entropy of their targets, and the logits, [tokens, vocabulary]
   */
  async evaluate(
    sequences: readonly TrainingSequence[],
  ): Promise<{ readonly loss: number; readonly logits: HostArray }> {
    const tokens = sequences.reduce((sum, sequence) => sum + sequence.tokens.length, 0);
    const program = await this.#forwardOf({ tokens, slots: sequences.length });
    program.run(program.pack(sequences));
    const { loss, logits } = await program.executable.read('loss', 'logits');
    return { loss: loss[0]!, logits };
  }

  /** The program that reads batches of a shape; the last one is kept. */
  async #forwardOf(shape: BatchShape): Promise<SequenceProgram> {
    const key = `${shape.tokens} ${shape.slots}`;
    if (this.#forward?.key === key) return this.#forward.program;
    this.#forward?.program.dispose();
    this.#forward = undefined;
    const recorded = recordForward(this.config, this.#tensors, shape);
    const shared = this.#states.tensors;
    const program = await SequenceProgram.compile(
      this.#device,
      this.config,
      shape,
      recorded,
      shared,
    );
    this.#forward = { key, program };
    return program;
  }

  /**
   * The weights as they are now, to be loaded as a model or written to a file, and with `moments` all
   * that training goes on from. Read before the next step; each tensor is what it is when it is read.
   *
   * @throws UsageError for moments while gradients wait to be applied, as those would be lost.
   */
  weights({ withMoments = false } = {}): WeightSource {
    if (withMoments && this.#accumulated) {
      throw new UsageError(
        'a checkpoint was asked for between accumulate and apply; apply the gradients first',
      );
    }
    const tensors = new Map(this.#tensors);
    for (const prefix of withMoments ? moments : []) {
      for (const [name, entry] of this.#tensors) tensors.set(prefix + name, entry);
    }
    return {
      label: `the model after step ${this.#step}`,
      tensors,
      metadata: new Map([[stepKey, String(this.#step)]]),
      read: async (name) => {
        const tensor = tensors.has(name) ? this.#states.tensors.get(name) : undefined;
        if (!tensor) throw new UsageError(`the model in training has no tensor '${name}'`);
        const { buffer, byteOffset, byteLength } = Float32Array.from(
          await this.#device.read(tensor),
        );
        return new Uint8Array(buffer, byteOffset, byteLength);
      },
      close: async () => undefined,
    };
  }

  /** Gives the memory back after the work that is queued. Idempotent; the device stays open. */
  async dispose(): Promise<void> {
    this.#forward?.program.dispose();
    this.#accumulate.dispose();
    this.#apply.dispose();
    this.#states.dispose();
  }

  [Symbol.asyncDispose](): Promise<void> {
    return this.dispose();
  }
}

/** The entry of a checkpoint's metadata with the number of steps that were taken. */
const stepKey = 'rwkv-js.step';

/** The source's entries of all weights, once it is known that they are there, and fit. */
function checkWeights(
  weights: ReadonlyMap<string, TensorSpec>,
  { label, tensors }: WeightSource,
  { version }: ModelConfig,
): ReadonlyMap<string, WeightEntry> {
  const found = new Map<string, WeightEntry>();
  for (const [name, { shape }] of weights) {
    const entry = tensors.get(name);
    const expected = `RWKV-${version} has one of shape [${shape.join(', ')}]`;
    if (!entry) {
      throw new FormatError(
        `${label} has no tensor '${name}', and ${expected}; give a whole model`,
      );
    }
    if (elementCount(entry.shape) !== elementCount(shape)) {
      throw new FormatError(
        `tensor '${name}' of ${label} has the shape [${entry.shape.join(', ')}], and ${expected}; ` +
          'give a whole model',
      );
    }
    if (entry.dtype !== 'f32') {
      throw new UsageError(
        `tensor '${name}' of ${label} is ${formatSpec(entry)}, and training needs f32; ` +
          'convert the file first',
      );
    }
    found.set(name, entry);
  }
  return found;
}

/** Writes weights to the device, and moments where the source has them; gives the steps that were taken. */
async function restore(
  device: Device,
  states: States,
  weights: ReadonlyMap<string, WeightEntry>,
  source: WeightSource,
): Promise<number> {
  const isCheckpoint = source.metadata.has(stepKey);
  for (const prefix of isCheckpoint ? ['', ...moments] : ['']) {
    for (const [name, { shape }] of weights) {
      const found = source.tensors.get(prefix + name);
      const tensor = states.tensors.get(prefix + name)!;
      if (found?.dtype !== 'f32' || found.shape.join() !== shape.join()) {
        throw new FormatError(
          `${source.label} is a checkpoint without a tensor '${prefix}${name}' f32[${shape.join(', ')}]; ` +
            'a part of it is missing',
        );
      }
      device.write(tensor, viewBytes('f32', await source.read(prefix + name)));
    }
  }
  if (!isCheckpoint) return 0;
  const text = source.metadata.get(stepKey)!;
  const step = /^\d{1,9}$/.test(text) ? Number(text) : NaN;
  if (Number.isNaN(step)) {
    throw new FormatError(
      `${source.label} says that '${text}' steps were taken; a whole number was expected: it is damaged`,
    );
  }
  return step;
}
