import { isDeepStrictEqual } from 'node:util';
import type { Action } from './script.ts';
import type { SavedState, TestedModel, TestedSession, WriteOptions } from './tested-model.ts';

/** What came of an action: all that it gave, or how it failed. */
interface Result {
  readonly given?: unknown;
  readonly error?: string;
}

/** A session that shares its model with others, and one that does the same alone. */
export class SessionPair<State extends SavedState> {
  readonly #models: readonly [shared: TestedModel<State>, alone: TestedModel<State>];
  #shared: TestedSession<State>;
  #alone: TestedSession<State>;
  #saved: { readonly shared: State; readonly alone: State } | undefined;

  constructor(
    shared: TestedModel<State>,
    alone: TestedModel<State>,
    sessions = [shared.session(), alone.session()] as const,
  ) {
    this.#models = [shared, alone];
    [this.#shared, this.#alone] = sessions;
  }

  /**
   * Does an action on the shared session, while others do theirs.
   *
   * @returns what does the same alone afterwards, and gives a new pair if the action made one
   * @throws Error, as that does, when the two differ.
   */
  async run(action: Action): Promise<() => Promise<SessionPair<State> | undefined>> {
    const shared = this.#shared;
    const { kind } = action;
    switch (kind) {
      case 'fork': {
        const forked = await shared.fork();
        return async () =>
          new SessionPair(...this.#models, [forked, await this.#alone.fork()] as const);
      }
      case 'save': {
        const state = await shared.save();
        return this.#same(kind, async () => {
          this.#saved = { shared: state, alone: await this.#alone.save() };
        });
      }
      case 'restore': {
        const saved = this.#saved;
        if (saved) await shared.restore(saved.shared);
        return this.#same(kind, async () => saved && this.#alone.restore(saved.alone));
      }
      case 'dispose': {
        await shared.dispose();
        return () => this.#begin();
      }
      case 'dispose while it writes': {
        const writing = write(shared, action.options);
        await pass(action.turns);
        await shared.dispose();
        const { error } = await writing;
        if (error && !/^UsageError: .*(disposed|read nothing yet|was stopped)/.test(error)) {
          throw new Error(`what was disposed while it wrote ended with ${error}`);
        }
        return () => this.#begin();
      }
      case 'abort feed': {
        const before = tokensOf(await shared.save());
        const { tokens, turns } = action;
        const { error } = await attempt(() => shared.feed(tokens, { signal: abortAfter(turns) }));
        const read = tokensOf(await shared.save()) - before;
        return this.#same(kind, async () => {
          if (error) await this.#follow(tokens.slice(0, read));
          else await this.#alone.feed(tokens);
        });
      }
      case 'abort generate': {
        // Without stop strings each token is a piece.
        const options = { ...action.options, stop: [] };
        const found = await write(shared, { ...options, signal: abortAfter(action.turns) });
        return this.#same(kind, async () => {
          const { error, tokens } = found;
          if (!error?.startsWith('AbortError')) {
            return expectSame(kind, found, await write(this.#alone, options));
          }
          if (tokens.length === 0) return;
          const expected = await write(this.#alone, options, { pieces: tokens.length });
          expectSame(`the tokens of ${kind}`, tokens, expected.tokens);
        });
      }
      default: {
        const found = await perform(shared, action);
        return this.#same(kind, async () => {
          expectSame(kind, found, await perform(this.#alone, action));
        });
      }
    }
  }

  async dispose(): Promise<void> {
    await this.#shared.dispose();
    await this.#alone.dispose();
  }

  /** Does the same alone and holds the sessions to each other. */
  #same(kind: string, action: () => Promise<unknown>): () => Promise<undefined> {
    return async () => {
      await action();
      const [found, expected] = [await this.#shared.save(), await this.#alone.save()];
      for (const part of ['tokenCount', 'pending', 'logits', 'tensors'] as const) {
        expectSame(`${part} after ${kind}`, found[part], expected[part]);
      }
    };
  }

  /** Begins with new sessions. */
  async #begin(): Promise<undefined> {
    await this.#alone.dispose();
    const [shared, alone] = this.#models;
    [this.#shared, this.#alone] = [shared.session(), alone.session()];
    this.#saved = undefined;
  }

  /** Reads what a `feed` read that was aborted, after which nobody knows what follows. */
  async #follow(tokens: readonly number[]): Promise<void> {
    await this.#alone.feed(tokens);
    const wentThrough = (await this.#shared.save()).pending === undefined;
    if (!wentThrough || (await this.#alone.save()).pending === undefined) return;
    await this.#alone.logits();
    const state = await this.#alone.save();
    await this.#alone.restore({ ...state, logits: undefined });
  }
}

/** Tokens of a session's text; the last one may be pending. */
function tokensOf({ tokenCount, pending }: SavedState): number {
  return tokenCount + (pending === undefined ? 0 : 1);
}

/** Does what gives the same however often it is done. */
async function perform<State extends SavedState>(
  session: TestedSession<State>,
  action: Extract<Action, { kind: 'feed' | 'generate' | 'logits' | 'score' }>,
): Promise<Result> {
  switch (action.kind) {
    case 'feed':
      return attempt(() => session.feed(action.tokens));
    case 'logits':
      return attempt(() => session.logits());
    case 'score':
      return attempt(() => session.score(action.tokens));
    case 'generate': {
      const { options, prompt, leave, pause } = action;
      return write(session, { ...options, prompt }, { ...leave, pause });
    }
  }
}

/** Writes until it ends or the reader leaves. */
async function write<State extends SavedState>(
  session: TestedSession<State>,
  options: WriteOptions,
  reader: {
    readonly pause?: number;
    readonly pieces?: number | undefined;
    readonly abort?: boolean | undefined;
  } = {},
): Promise<Result & { readonly tokens: readonly number[] }> {
  const controller = new AbortController();
  const generation = session.generate({ signal: controller.signal, ...options });
  const pieces: string[] = [];
  const result = await attempt(async () => {
    for await (const piece of generation) {
      pieces.push(piece);
      await pass(reader.pause ?? 0);
      if (pieces.length !== reader.pieces) continue;
      if (!reader.abort) break;
      controller.abort();
    }
  });
  const { tokens, finishReason } = generation;
  return { ...result, given: { text: pieces.join(''), finishReason }, tokens: [...tokens] };
}

async function attempt(action: () => Promise<unknown>): Promise<Result> {
  try {
    return { given: await action() };
  } catch (error) {
    const { name, message } = error as Error;
    return { error: `${name}: ${message}` };
  }
}

function expectSame(what: string, found: unknown, expected: unknown): void {
  if (isDeepStrictEqual(found, expected)) return;
  throw new Error(
    `${what} is not what a session alone has: ${shown(found)}, not ${shown(expected)}`,
  );
}

function shown(value: unknown): string {
  const plain = (_: string, part: unknown): unknown =>
    part instanceof Map
      ? Object.fromEntries(part)
      : part instanceof Float32Array
        ? [...part]
        : part;
  const text = JSON.stringify(value, plain) ?? 'nothing';
  return text.length > 200 ? `${text.slice(0, 200)}…` : text;
}

/** Waits for turns of the event loop. */
async function pass(turns: number): Promise<void> {
  for (let turn = 0; turn < turns; turn++) await new Promise((resolve) => setImmediate(resolve));
}

function abortAfter(turns: number): AbortSignal {
  const controller = new AbortController();
  if (turns === 0) controller.abort();
  else void pass(turns).then(() => controller.abort());
  return controller.signal;
}
