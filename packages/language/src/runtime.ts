import { UsageError, type Device, type Parameters, type States } from '@rwkv-js/tensor';
import type { Tokenizer } from '@rwkv-js/tokenizer';
import type { ModelConfig } from './config.ts';
import type { Checkpoints } from './checkpoints.ts';
import { Scheduler, type Work } from './scheduler.ts';
import type { Prompt } from './session.ts';
import { isSequenceState, stateKind, type SessionState } from './session-state.ts';
import type { SamplingOptions } from './settings.ts';
import { Slots, type Sequence } from './slots.ts';
import { StepExecutables, type StepPrograms } from './step-programs.ts';

/** What a loaded model is made of. */
export interface RuntimeParts {
  readonly device: Device;
  readonly config: ModelConfig;
  readonly programs: StepPrograms;
  readonly parameters: Parameters;
  readonly states: States;
  /** Needed where the device reads back once for several steps. */
  readonly checkpoints: Checkpoints | undefined;
  readonly slots: number;
  readonly fingerprint: string;
  /** What sessions begin with, where it is not what the program says. */
  readonly initialState: SessionState['tensors'];
  readonly counts: Float32Array;
  readonly tokenizer: Tokenizer | undefined;
  readonly recommended: SamplingOptions;
}

/** A loaded model, as its sessions use it. */
export class ModelRuntime {
  readonly config: ModelConfig;
  readonly tokenizer: Tokenizer | undefined;
  readonly recommended: SamplingOptions;
  /** What drawing each token adds to its occurrence, see `sample`. */
  readonly counts: Float32Array;
  readonly stateKind: string;
  readonly fingerprint: string;
  readonly #parameters: Parameters;
  readonly #states: States;
  readonly #checkpoints: Checkpoints | undefined;
  readonly #executables: StepExecutables;
  readonly #slots: Slots;
  readonly #scheduler: Scheduler;
  #disposed: Promise<void> | undefined;

  constructor(parts: RuntimeParts) {
    const { device, programs, parameters, states, checkpoints } = parts;
    this.config = parts.config;
    this.tokenizer = parts.tokenizer;
    this.recommended = parts.recommended;
    this.counts = parts.counts;
    this.stateKind = stateKind(parts.config);
    this.fingerprint = parts.fingerprint;
    this.#parameters = parameters;
    this.#states = states;
    this.#checkpoints = checkpoints;
    this.#executables = new StepExecutables(programs, device, parameters.tensors, states.tensors);
    const program = programs.program(1, 1);
    this.#slots = new Slots(device, states, program, parts.slots, parts.initialState, checkpoints);
    this.#scheduler = new Scheduler(device, this.#executables, this.#slots);
  }

  /** Bytes that parameters and states, checkpoints included, take on the device. */
  get bytes(): { readonly parameters: number; readonly states: number } {
    return {
      parameters: this.#parameters.byteLength,
      states: this.#states.byteLength + (this.#checkpoints?.byteLength ?? 0),
    };
  }

  /**
   * Token ids of a prompt, checked.
   *
   * @throws UsageError for text without a tokenizer, and for ids that the model does not have.
   */
  tokensOf(prompt: Prompt): readonly number[] {
    if (typeof prompt === 'string') {
      if (this.tokenizer) return [...this.tokenizer.encode(prompt)];
      throw new UsageError(
        'this model was loaded without a tokenizer and was given text; ' +
          'give it token ids, or load it with a vocabulary',
      );
    }
    const { vocabularySize } = this.config;
    const length: unknown = (prompt as { length?: unknown } | null | undefined)?.length;
    if (!Number.isInteger(length)) {
      throw new UsageError(
        `a prompt is text or a list of token ids, and ${typeof prompt} was given` +
          `${prompt instanceof Promise ? ', a promise: await it first' : ''}`,
      );
    }
    return Array.from(prompt, (token, place) => {
      if (Number.isInteger(token) && token >= 0 && token < vocabularySize) return token;
      throw new UsageError(
        `token ${String(token)} at place ${place} is none of this model's, which are whole numbers ` +
          `from 0 to ${vocabularySize - 1}; was the text encoded with this model's vocabulary?`,
      );
    });
  }

  async run(work: Work): Promise<void> {
    this.check();
    await this.#scheduler.run(work);
  }

  /** Whether the model can no longer be used. */
  get disposed(): boolean {
    return this.#disposed !== undefined;
  }

  /**
   * Puts a sequence back to its checkpoint and then through tokens: those that stay of what was drawn
   * since.
   */
  async rewind(sequence: Sequence, tokens: readonly number[]): Promise<void> {
    this.check();
    await this.#scheduler.rewind(sequence);
    await this.run({ sequence, tokens });
  }

  /** A sequence's state tensors as f32 copies, what only sampling needs not among them. */
  async readState(sequence: Sequence): Promise<SessionState['tensors']> {
    this.check();
    const all = await this.#scheduler.exclusively(() => this.#slots.read(sequence));
    const tensors = new Map<string, Float32Array>();
    for (const [name, data] of all) {
      if (isSequenceState(name)) tensors.set(name, Float32Array.from(data));
    }
    return tensors;
  }

  /**
   * Frees what a sequence holds on the device.
   *
   * @param reason what those are told that wait for it
   */
  async leave(sequence: Sequence, reason: Error): Promise<void> {
    if (this.#disposed) return;
    this.#scheduler.drop(sequence, reason);
    await this.#scheduler.exclusively(async () => this.#slots.leave(sequence));
  }

  /** @throws UsageError when a state is not one of this model's. */
  checkState(state: SessionState): void {
    if (state.kind !== this.stateKind) {
      throw new UsageError(
        `a state of ${state.kind} was given to ${this.stateKind}; ` +
          'a state continues on the model it was saved from',
      );
    }
    const damaged = (what: string): UsageError =>
      new UsageError(`a saved state ${what}; the state is damaged: save it again`);
    if (!(state.tensors instanceof Map)) {
      throw damaged('has no Map of tensors, which JSON does not keep (structuredClone does)');
    }
    for (const [name, { spec }] of this.#states.tensors) {
      if (!isSequenceState(name)) continue;
      const count = spec.shape.slice(1).reduce((product, size) => product * size, 1);
      const data = state.tensors.get(name);
      if (data?.length !== count) {
        throw damaged(
          `has ${data?.length ?? 'no'} elements of '${name}' and the model keeps ${count}`,
        );
      }
      if (!data.every(Number.isFinite)) throw damaged(`holds no finite numbers in '${name}'`);
    }
    const { vocabularySize } = this.config;
    const { tokenCount, pending, logits } = state;
    if (!Number.isInteger(tokenCount) || tokenCount < 0) {
      throw damaged(`says that ${tokenCount} tokens were read`);
    }
    if (
      pending !== undefined &&
      !(Number.isInteger(pending) && pending >= 0 && pending < vocabularySize)
    ) {
      throw damaged(`has the pending token ${pending} of a vocabulary of ${vocabularySize}`);
    }
    if (logits !== undefined && logits.length !== vocabularySize) {
      throw damaged(`has ${logits.length} logits for a vocabulary of ${vocabularySize}`);
    }
  }

  /** Idempotent. */
  dispose(): Promise<void> {
    this.#disposed ??= (async () => {
      await this.#scheduler.stop(
        new UsageError('the model was disposed while this was waiting; load it again'),
      );
      this.#executables.dispose();
      this.#checkpoints?.dispose();
      this.#states.dispose();
      this.#parameters.dispose();
    })();
    return this.#disposed;
  }

  /** @throws UsageError when the model was disposed. */
  check(): void {
    if (this.disposed) throw new UsageError('the model was disposed; load it again');
  }
}
