import {
  allocateStates,
  loadParameters,
  UsageError,
  type Device,
  type LoadProgress,
  type States,
  type WeightSource,
} from '@rwkv-js/tensor';
import { vocabularyOf, type Tokenizer } from '@rwkv-js/tokenizer';
import { Checkpoints } from './checkpoints.ts';
import { readConfig, type ModelConfig } from './config.ts';
import { fingerprintOf } from './fingerprint.ts';
import { Generation, type GenerateOptions } from './generation.ts';
import { ModelRuntime, type RuntimeParts } from './runtime.ts';
import { Session } from './session.ts';
import { SharedParameters } from './shared-parameters.ts';
import type { SessionState } from './session-state.ts';
import type { SamplingOptions } from './settings.ts';
import { StepPrograms } from './step-programs.ts';
import { occurrenceCounts } from './occurrence-counts.ts';
import { readTunedState } from './tuned-state.ts';
import { makeVariant, type ModelAdapter, type VariantBase } from './variant.ts';
import { withTensors } from './with-tensors.ts';

export interface LanguageModelOptions {
  /** Where it runs. The caller opened it and disposes it after the model. */
  readonly device: Device;
  /** What turns text into the model's tokens; without it the model takes and gives token ids. */
  readonly tokenizer?: Tokenizer | undefined;
  /** Sequences whose states lie on the device at once; more sessions than that take turns. Default 8. */
  readonly slots?: number | undefined;
  /** Epsilon of the head normalisation, for weights that were made with another than 64e−5. */
  readonly groupNormEpsilon?: number | undefined;
  /** Sampling settings that the model's makers recommend; they replace the defaults. */
  readonly recommended?: SamplingOptions | undefined;
  readonly progress?: ((progress: LoadProgress) => void) | undefined;
  readonly signal?: AbortSignal | undefined;
}

/** An RWKV language model of any generation, loaded on a device. */
export class LanguageModel {
  readonly #runtime: ModelRuntime;
  readonly #parts: RuntimeParts;
  readonly #base: VariantBase;

  private constructor(parts: RuntimeParts, base: VariantBase) {
    this.#parts = { ...parts, parameters: base.shared.hold() };
    this.#base = base;
    this.#runtime = new ModelRuntime(this.#parts);
  }

  /**
   * Loads a model: reads its version and sizes off the tensors, then streams them to the device.
   * The source can be closed afterwards. Where it has a tuned state (`blocks.{i}.att.time_state`), sessions
   * begin with that.
   *
   * @throws FormatError when the tensors are not those of a whole RWKV model; UsageError when the
   * tokenizer is made for another vocabulary; AbortError when the signal asks.
   */
  static async load(source: WeightSource, options: LanguageModelOptions): Promise<LanguageModel> {
    const { device, tokenizer, signal } = options;
    const slots = options.slots ?? 8;
    if (!(Number.isInteger(slots) && slots >= 1 && slots <= 4096)) {
      throw new UsageError(`slots is ${slots}; it must be a whole number from 1 to 4096`);
    }
    const config = readConfig(source, options);
    if (tokenizer) checkTokenizer(tokenizer, config, source.label);
    const counts = occurrenceCounts(config.vocabularySize, tokenizer);
    const complete = withTensors(source, { 'sampler.counts': counts });
    const initialState = await readTunedState(source, config, { signal });
    const programs = new StepPrograms(config, complete, slots, device.kernels);
    const program = programs.program(1, 1);
    const parameters = await loadParameters(device, programs.forLoading(), complete, {
      progress: options.progress,
      signal,
    });
    let states: States | undefined;
    try {
      const fingerprint = await fingerprintOf(source, config, { signal });
      states = allocateStates(device, [program]);
      const many = device.kernels.stepsPerReadback > 1;
      const checkpoints = many ? new Checkpoints(device, states) : undefined;
      const recommended = options.recommended ?? {};
      const parts = {
        device,
        config,
        programs,
        parameters,
        states,
        checkpoints,
        slots,
        fingerprint,
        initialState,
        counts,
        tokenizer,
        recommended,
      };
      return new LanguageModel(parts, {
        label: source.label,
        device,
        config,
        entries: complete.tensors,
        shared: new SharedParameters(parameters),
        change: (recorded) => recorded,
        adapters: 0,
      });
    } catch (error) {
      states?.dispose();
      parameters.dispose();
      throw error;
    }
  }

  get config(): ModelConfig {
    return this.#runtime.config;
  }

  get tokenizer(): Tokenizer | undefined {
    return this.#runtime.tokenizer;
  }

  /** Tells this model's weights from others of the same sizes; states that are saved carry it. */
  get fingerprint(): string {
    return this.#runtime.fingerprint;
  }

  /** What states of this model are called: its version and sizes. */
  get stateKind(): string {
    return this.#runtime.stateKind;
  }

  /** Bytes that parameters and states, checkpoints included, take on the device. */
  get bytes(): { readonly parameters: number; readonly states: number } {
    return this.#runtime.bytes;
  }

  /**
   * This model with an adapter beside it. Both share the weights on the device, which stay as they are, and
   * have their own states: sessions of both live side by side. The adapter can be closed afterwards; each
   * model is disposed by itself, and the last one gives the weights back.
   *
   * @param adapter from `openAdapter`: a LoRA, a PiSSA, a Bone, a tuned state, and whole tensors as far as
   * the device keeps them apart
   * @throws UsageError when the adapter is for another model, or can only be merged at load; AbortError
   * when the signal asks.
   */
  async withAdapter(
    adapter: ModelAdapter,
    options: { readonly signal?: AbortSignal | undefined } = {},
  ): Promise<LanguageModel> {
    this.#runtime.check();
    const { parts, base } = await makeVariant(this.#base, this.#parts, adapter, options);
    return new LanguageModel(parts, base);
  }

  /** A new session: from the beginning of a text, or from a saved state. */
  session(options: { readonly state?: SessionState | undefined } = {}): Session {
    return new Session(this.#runtime, options.state);
  }

  /**
   * Writes in a session of its own, which ends with it. Token 0, the beginning of a text, is read
   * before the prompt.
   */
  generate(options: GenerateOptions = {}): Generation {
    const session = this.session();
    const writer = session.writer();
    const prompt = [0, ...this.#runtime.tokensOf(options.prompt ?? [])];
    return new Generation(
      this.#runtime,
      { ...options, prompt },
      {
        ...writer,
        end() {
          // What is disposed has nothing to go back to.
          void session.dispose();
          return writer.end();
        },
      },
    );
  }

  /** Fails what waits, then gives parameters and states back. Idempotent. */
  dispose(): Promise<void> {
    return this.#runtime.dispose();
  }

  [Symbol.asyncDispose](): Promise<void> {
    return this.dispose();
  }
}

function checkTokenizer(tokenizer: Tokenizer, config: ModelConfig, label: string): void {
  const { vocabularySize } = config;
  if (tokenizer.vocabularySize <= vocabularySize && vocabularySize <= tokenizer.paddedSize) return;
  throw new UsageError(
    `${label} has ${vocabularySize} rows of embedding, and vocabulary ${tokenizer.name} has ids up ` +
      `to ${tokenizer.vocabularySize - 1}; they do not belong together: give the model's own ` +
      `vocabulary, ${vocabularyOf(vocabularySize)}`,
  );
}
