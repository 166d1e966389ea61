import { drawToken, notDrawn, type SampleSettings } from '@rwkv-js/core';
import { DeviceError, UsageError } from '@rwkv-js/tensor';
import type { ModelRuntime } from './runtime.ts';
import type { Work } from './scheduler.ts';
import type { Prompt } from './session.ts';
import { resolveSettings, type SamplingOptions } from './settings.ts';
import { StopMatcher } from './stop-matcher.ts';

export interface GenerateOptions extends SamplingOptions {
  /** What to read before writing; nothing to go on from where the session is. */
  readonly prompt?: Prompt | undefined;
  /** Most tokens to write. Default 256. */
  readonly maxTokens?: number | undefined;
  /** Texts that end the writing; they are not given. They may span tokens. */
  readonly stop?: readonly string[] | undefined;
  /** Tokens that end the writing; they have no text and are not read. Default: 0, the end of a text. */
  readonly stopTokens?: readonly number[] | undefined;
  /** A whole number that decides every draw: the same seed, state and settings give the same text. */
  readonly seed?: number | undefined;
  /** Ends the writing with an AbortError within a step, or a burst of them; the session can go on. */
  readonly signal?: AbortSignal | undefined;
}

/** Why writing ended: a stop text, a stop token, or `maxTokens`. */
export type FinishReason = 'stop' | 'end' | 'length';

/** What a generation draws with; the session decides where. */
export interface Draws {
  /** Draws from logits that are known on the host. */
  onHost(logits: Float32Array, position: number): number;
  /** The request for draws on the device, from this position on and no more than may be written. */
  onDevice(
    position: number,
    take: (tokens: readonly number[]) => void,
  ): NonNullable<Work['sample']>;
}

/** What a generation needs of its session. */
export interface Writer {
  begin(prompt: readonly number[], signal: AbortSignal | undefined): Promise<void>;
  draw(draws: Draws, signal: AbortSignal | undefined): Promise<number>;
  /** Makes the token that was drawn last a part of the text. */
  accept(token: number): void;
  /** Leaves the session with what was accepted, whatever was drawn beyond. */
  end(): Promise<void>;
}

/** Text that is being written. Iterate it for the pieces, or await `text()` for the whole, once. */
export class Generation implements AsyncIterable<string> {
  /** The seed of the draws: the one that was given, or the one that was picked. */
  readonly seed: number;
  readonly #runtime: ModelRuntime;
  readonly #writer: Writer;
  readonly #settings: SampleSettings;
  readonly #prompt: readonly number[];
  readonly #maxTokens: number;
  readonly #stop: readonly string[];
  readonly #stopTokens: ReadonlySet<number>;
  readonly #signal: AbortSignal | undefined;
  readonly #tokens: number[] = [];
  #finishReason: FinishReason | undefined;
  #begun = false;

  /** Use `session.generate()`. */
  constructor(runtime: ModelRuntime, options: GenerateOptions, writer: Writer) {
    this.#runtime = runtime;
    this.#writer = writer;
    this.#settings = resolveSettings(options, runtime.recommended);
    this.#prompt = options.prompt === undefined ? [] : runtime.tokensOf(options.prompt);
    this.#maxTokens = wholeNumber('maxTokens', options.maxTokens ?? 256, 0, 2 ** 31);
    this.seed = wholeNumber('seed', options.seed ?? randomSeed(), 0, 2 ** 32 - 1);
    this.#stop = listOf('stop', options.stop ?? [], 'texts', (one) => typeof one === 'string');
    const { vocabularySize } = runtime.config;
    const isToken = (one: unknown): boolean =>
      Number.isInteger(one) && (one as number) >= 0 && (one as number) < vocabularySize;
    const ids = `token ids below ${vocabularySize}`;
    this.#stopTokens = new Set(listOf('stopTokens', options.stopTokens ?? [0], ids, isToken));
    this.#signal = options.signal;
  }

  /** The tokens written so far, stop tokens not among them. */
  get tokens(): readonly number[] {
    return this.#tokens;
  }

  /** Why it ended; undefined while it has not. */
  get finishReason(): FinishReason | undefined {
    return this.#finishReason;
  }

  /** The whole text, when it has ended. */
  async text(): Promise<string> {
    let text = '';
    for await (const piece of this) text += piece;
    return text;
  }

  async *[Symbol.asyncIterator](): AsyncGenerator<string, void, undefined> {
    if (this.#begun) {
      throw new UsageError('this generation was iterated before; call generate() again for more');
    }
    this.#begun = true;
    const matcher = new StopMatcher(this.#stop);
    const stream = this.#runtime.tokenizer?.stream();
    try {
      await this.#writer.begin(this.#prompt, this.#signal);
      const draws = this.#draws();
      while (this.#tokens.length < this.#maxTokens) {
        this.#signal?.throwIfAborted();
        const token = await this.#writer.draw(draws, this.#signal);
        if (token < 0) {
          throw new DeviceError(
            'the model gave no number for any token, so none could be drawn; ' +
              'its weights or its state are damaged',
          );
        }
        if (this.#stopTokens.has(token)) {
          this.#finishReason = 'end';
          break;
        }
        this.#tokens.push(token);
        this.#writer.accept(token);
        const { text, stop } = matcher.push(stream?.push(token) ?? '');
        if (text !== '') yield text;
        if (stop !== undefined) {
          this.#finishReason = 'stop';
          return;
        }
      }
      this.#finishReason ??= 'length';
      const last = matcher.push(stream?.flush() ?? '');
      const rest = last.text + (last.stop === undefined ? matcher.flush() : '');
      if (rest !== '') yield rest;
    } finally {
      await this.#writer.end();
    }
  }

  /** Draws that share one record of what was written. */
  #draws(): Draws {
    const { counts } = this.#runtime;
    let occurrences: Float32Array | undefined = new Float32Array(counts.length).fill(notDrawn);
    return {
      onHost: (logits, position) =>
        drawToken(logits, this.#settings, { seed: this.seed, position }, counts, occurrences!),
      onDevice: (position, take) => {
        // The record goes to the device with the first draw there, and is kept there from then on.
        const carried = occurrences;
        occurrences = undefined;
        const { seed } = this;
        const most = this.#maxTokens - this.#tokens.length;
        return { settings: this.#settings, seed, position, occurrences: carried, most, take };
      },
    };
  }
}

function wholeNumber(name: string, value: number, least: number, most: number): number {
  if (Number.isInteger(value) && value >= least && value <= most) return value;
  throw new UsageError(`${name} is ${value}; it must be a whole number from ${least} to ${most}`);
}

function listOf<Item>(
  name: string,
  value: readonly Item[],
  what: string,
  accepts: (item: unknown) => boolean,
): readonly Item[] {
  if (Array.isArray(value) && value.every(accepts)) return value;
  throw new UsageError(`${name} is ${JSON.stringify(value)}; it must be a list of ${what}`);
}

function randomSeed(): number {
  return crypto.getRandomValues(new Uint32Array(1))[0]!;
}
