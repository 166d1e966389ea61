import { logSumExp } from '@rwkv-js/core';
import { UsageError } from '@rwkv-js/tensor';
import { Generation, type GenerateOptions, type Writer } from './generation.ts';
import type { ModelRuntime } from './runtime.ts';
import type { Work } from './scheduler.ts';
import { Sequence } from './slots.ts';
import type { SessionState } from './session-state.ts';

export interface FeedOptions {
  readonly signal?: AbortSignal | undefined;
  /**
   * Called after each step with the tokens that have gone through, and all that have to: a token that
   * was pending before is among them, the last one of a `feed` waits for what is asked next.
   */
  readonly progress?: ((fed: number, total: number) => void) | undefined;
}

/** Text, or token ids. Text becomes ids with the model's tokenizer; none of it is ever a special token. */
export type Prompt = string | ArrayLike<number>;

/**
 * One text that a model reads and writes: everything read so far, as a state of constant size.
 *
 * A session does one thing at a time; several sessions of a model share its steps.
 */
export class Session {
  readonly #runtime: ModelRuntime;
  readonly #sequence = new Sequence();
  #tokenCount = 0;
  // The last token goes through the model when something is asked of it: then what comes after it
  // is computed in the same step.
  #pending: number | undefined;
  #logits: Float32Array | undefined;
  #busy: string | undefined;
  #disposed = false;

  /** Use `model.session()`. */
  constructor(runtime: ModelRuntime, state?: SessionState) {
    this.#runtime = runtime;
    if (state) this.#adopt(state);
  }

  /** Tokens read and written so far. */
  get tokenCount(): number {
    return this.#tokenCount + (this.#pending === undefined ? 0 : 1);
  }

  /**
   * Reads text or tokens, in chunks; any split gives the same state.
   *
   * @throws UsageError for a token that the model does not have, before anything is read;
   * AbortError when the signal asks: what was read until then stays read, see `tokenCount`.
   */
  async feed(prompt: Prompt, options: FeedOptions = {}): Promise<void> {
    const tokens = this.#runtime.tokensOf(prompt);
    await this.#exclusively('feed', async () => {
      if (tokens.length > 0) await this.#readAllButLast(tokens, options);
    });
  }

  /**
   * The logits of the next token, f32 [vocabulary].
   *
   * @throws UsageError before anything was fed.
   */
  async logits(options: { readonly signal?: AbortSignal | undefined } = {}): Promise<Float32Array> {
    return this.#exclusively('logits', async () => {
      await this.#run([], options, {
        logits: { of: 'last', take: (logits) => (this.#logits = logits) },
      });
      return this.#knownLogits().slice();
    });
  }

  /**
   * Reads tokens and gives the logits after each of them, as they come. What `take` throws ends the
   * reading and is thrown on; the tokens of the steps until then stay read.
   *
   * @param take called once a token, in order, with the logits f32 [vocabulary] and the token's place
   */
  async feedWithLogits(
    prompt: Prompt,
    take: (logits: Float32Array, index: number) => void,
    options: FeedOptions = {},
  ): Promise<void> {
    const tokens = this.#runtime.tokensOf(prompt);
    await this.#exclusively('feedWithLogits', async () => {
      if (tokens.length === 0) return;
      await this.#run([], options);
      await this.#run(tokens, options, {
        logits: {
          of: 'all',
          take: (logits, index) => {
            this.#logits = logits;
            take(logits, index);
          },
        },
      });
    });
  }

  /**
   * Reads tokens and scores them: the natural logarithm of the probability that the model gave to
   * each, in nats. `feed([0])` before a text that stands alone.
   *
   * @returns f32, one for each token
   * @throws UsageError before anything was fed.
   */
  async score(prompt: Prompt, options: FeedOptions = {}): Promise<Float32Array> {
    const tokens = this.#runtime.tokensOf(prompt);
    return this.#exclusively('score', async () => {
      const scores = new Float32Array(tokens.length);
      if (tokens.length === 0) return scores;
      // The first token is scored by what is known already, or by the token that is pending.
      const known = this.#pending === undefined ? 1 : 0;
      if (known) scores[0] = logProbability(this.#knownLogits(), tokens[0]!);
      await this.#run(tokens.slice(0, -1), options, {
        score: {
          targets: tokens.slice(known),
          take: (value, index) => (scores[index + known] = value),
        },
      });
      this.#accept(tokens.at(-1)!);
      return scores;
    });
  }

  /**
   * Writes: gives text as it comes, and says at the end why it stopped. Begins when it is iterated
   * or when its `text()` is asked for.
   *
   * ```ts
   * for await (const piece of session.generate({ prompt: 'Once upon a time' })) print(piece);
   * ```
   *
   * @throws UsageError for settings out of range, at once
   */
  generate(options: GenerateOptions = {}): Generation {
    return new Generation(this.#runtime, options, this.writer());
  }

  /** What a `Generation` moves this session with. */
  writer(): Writer {
    let begun = false;
    // The device may have drawn more than was asked for: these come next.
    let ahead: readonly number[] = [];
    // Tokens of the text that went through since the slot was checkpointed.
    let since: number[] = [];
    return {
      begin: async (prompt, signal) => {
        this.#enter('generate');
        begun = true;
        if (prompt.length > 0) await this.#readAllButLast(prompt, { signal });
        if (this.#pending === undefined) this.#knownLogits();
      },
      draw: async (draws, signal) => {
        if (this.#pending === undefined) return draws.onHost(this.#knownLogits(), this.#tokenCount);
        if (ahead.length > 0) {
          this.#checkUsable('going on');
          since.push(this.#pending);
          this.#tokenCount += 1;
          this.#pending = undefined;
        } else {
          since = [];
          const sample = draws.onDevice(this.tokenCount, (drawn) => (ahead = drawn));
          await this.#run([], { signal }, { sample });
        }
        const [token, ...rest] = ahead;
        ahead = rest;
        // All that was drawn is taken: the device is where the text is.
        if (rest.length === 0) this.#sequence.checkpoint = undefined;
        return token!;
      },
      accept: (token) => this.#accept(token),
      end: async () => {
        if (!begun) return;
        begun = false;
        try {
          if (ahead.length > 0) await this.#rewind(since);
        } finally {
          this.#busy = undefined;
        }
      },
    };
  }

  /** The state as a value: what continues here does not change it. */
  async save(): Promise<SessionState> {
    return this.#exclusively('save', () => this.#saved());
  }

  /**
   * Goes back to a saved state. It takes the state of this model or of another with the same sizes.
   *
   * @throws UsageError when the state does not fit; the session stays as it is.
   */
  async restore(state: SessionState): Promise<void> {
    await this.#exclusively(
      'restore',
      async () => {
        this.#runtime.checkState(state);
        await this.#runtime.leave(this.#sequence, new UsageError('the session was restored'));
        this.#adopt(state);
      },
      true,
    );
  }

  /** A second session that goes on from here by itself. */
  async fork(): Promise<Session> {
    return this.#exclusively('fork', async () => new Session(this.#runtime, await this.#saved()));
  }

  /** Gives the session's memory back. Idempotent. Using it afterwards is a UsageError. */
  async dispose(): Promise<void> {
    if (this.#disposed) return;
    this.#disposed = true;
    await this.#runtime.leave(this.#sequence, disposedError('going on'));
  }

  [Symbol.asyncDispose](): Promise<void> {
    return this.dispose();
  }

  async #saved(): Promise<SessionState> {
    return {
      kind: this.#runtime.stateKind,
      fingerprint: this.#runtime.fingerprint,
      tokenCount: this.#tokenCount,
      tensors: await this.#runtime.readState(this.#sequence),
      ...(this.#pending === undefined ? {} : { pending: this.#pending }),
      ...(this.#logits === undefined ? {} : { logits: this.#logits.slice() }),
    };
  }

  #adopt(state: SessionState): void {
    this.#runtime.checkState(state);
    this.#sequence.resting = state.tensors;
    this.#sequence.lost = undefined;
    this.#tokenCount = state.tokenCount;
    this.#pending = state.pending;
    this.#logits = state.logits;
  }

  /** Takes back what the device has read beyond the text: `tokens` are those that went through before. */
  async #rewind(tokens: readonly number[]): Promise<void> {
    const gone = (): unknown => this.#disposed || this.#runtime.disposed || this.#sequence.lost;
    if (gone()) return;
    try {
      await this.#runtime.rewind(this.#sequence, tokens);
    } catch (error) {
      // What is disposed meanwhile has nothing to go back to; a lost state is told when it is used.
      if (!gone()) throw error;
    }
  }

  /** A token of the text that has not gone through the model yet. */
  #accept(token: number): void {
    this.#pending = token;
    this.#logits = undefined;
  }

  async #readAllButLast(tokens: readonly number[], options: FeedOptions): Promise<void> {
    await this.#run(tokens.slice(0, -1), options);
    this.#accept(tokens.at(-1)!);
  }

  #knownLogits(): Float32Array {
    if (this.#logits) return this.#logits;
    if (this.#tokenCount > 0) {
      throw new UsageError(
        `reading was stopped after ${this.#tokenCount} tokens, so what follows them is not known; ` +
          'feed what should come next, or restore a saved state',
      );
    }
    throw new UsageError(
      'this session has read nothing yet, so nothing can follow; feed it a prompt, ' +
        'or token 0, which begins a text',
    );
  }

  /**
   * Puts the pending token and then `tokens` through the model, and counts them. If it ends early,
   * what went through stays, and the pending token stays pending if it did not.
   */
  async #run(
    tokens: readonly number[],
    { signal, progress }: FeedOptions,
    want: Pick<Work, 'logits' | 'score' | 'sample'> = {},
  ): Promise<void> {
    this.#checkUsable('going on');
    const pending = this.#pending;
    const all = pending === undefined ? tokens : [pending, ...tokens];
    if (all.length === 0) return;
    const before = this.#tokenCount;
    await this.#runtime.run({
      sequence: this.#sequence,
      tokens: all,
      signal,
      progress: (fed) => {
        this.#pending = undefined;
        this.#logits = undefined;
        this.#tokenCount = before + fed;
        progress?.(fed, all.length);
      },
      ...want,
    });
  }

  #checkUsable(doing: string): void {
    if (this.#disposed) throw disposedError(doing);
    this.#runtime.check();
  }

  #enter(doing: string, evenLost = false): void {
    if (this.#disposed) throw disposedError(doing);
    if (this.#busy !== undefined) {
      throw new UsageError(
        `${doing} while this session is busy with ${this.#busy}; wait for it, or fork the session before`,
      );
    }
    if (this.#sequence.lost && !evenLost) {
      throw new UsageError(
        `${doing} on a session whose state was lost when the device failed ` +
          `(${this.#sequence.lost.message}); restore a saved state`,
        { cause: this.#sequence.lost },
      );
    }
    this.#busy = doing;
  }

  async #exclusively<Result>(
    doing: string,
    action: () => Promise<Result>,
    evenLost = false,
  ): Promise<Result> {
    this.#enter(doing, evenLost);
    try {
      return await action();
    } finally {
      this.#busy = undefined;
    }
  }
}

function disposedError(doing: string): UsageError {
  return new UsageError(`${doing} on a session that was disposed; begin a new one`);
}

function logProbability(logits: Float32Array, token: number): number {
  return logits[token]! - logSumExp(logits);
}
