import {
  DeviceError,
  encodeState,
  openCache,
  UsageError,
  type Cache,
  type LanguageModel,
  type Session,
  type SessionState,
} from 'rwkv-js';
import { abilities } from './abilities.ts';
import { messageOf, openChosen, type OpenedDevice } from './device.ts';
import * as keptFiles from './kept-files.ts';
import { load, loadState, recommendedOf, type Loaded } from './load.ts';
import { PieceTeller } from './piece-teller.ts';
import type {
  Abilities,
  DeviceChoice,
  LoadProgress,
  ModelChoice,
  ModelFacts,
  PathStep,
  StoredModel,
  WriteEvent,
  WriteRequest,
  WriteResult,
} from './protocol.ts';
import { States } from './states.ts';
import * as vocabularies from './vocabularies.ts';

/** A model with the device that it is on. */
interface Running extends Loaded, OpenedDevice {
  readonly choice: ModelChoice;
}

/** A writing that goes on, whatever becomes of the device. */
interface Job {
  readonly request: WriteRequest;
  readonly tell: (event: WriteEvent) => void;
  readonly written: number[];
  readonly pathTokens: Record<string, readonly number[]>;
  /** Ends the attempt that is under way: the device changes. */
  interrupt: AbortController;
  /** The attempt that is under way; settles when nothing of it runs any more. */
  attempt: Promise<WriteResult> | undefined;
  /** Where an interrupted attempt was, with how many tokens of the answer. */
  checkpoint: { readonly state: SessionState; readonly written: number } | undefined;
  stopped: boolean;
}

/** How often a writing is taken up again when devices fail under it. */
const mostRecoveries = 3;

/** All that computes, in a worker: one model on one device, and the writings that go on with it. */
export class Engine {
  readonly #states = new States();
  readonly #jobs = new Map<string, Job>();
  #running: Running | undefined;
  #loading: AbortController | undefined;
  /** A change of device under way, which writings wait for. */
  #moving: Promise<unknown> | undefined;
  #cache: Promise<Cache> | undefined;
  #cacheWarning: string | undefined;
  #alive: string | undefined;

  /**
   * Holds a lock by this name as long as the worker lives: whoever gets it knows that the worker is gone.
   */
  async hold(name: string): Promise<void> {
    if (this.#alive !== undefined || !('locks' in navigator)) return;
    this.#alive = name;
    await new Promise<void>((held) => {
      void navigator.locks.request(name, () => {
        held();
        return new Promise(() => {});
      });
    });
  }

  abilities(): Promise<Abilities> {
    return abilities();
  }

  /** Loads a model in place of the one that is there, which stays when the new one does not load. */
  async load(
    choice: ModelChoice,
    deviceChoice: DeviceChoice,
    progress: (progress: LoadProgress) => void,
  ): Promise<ModelFacts> {
    this.#loading?.abort();
    const controller = (this.#loading = new AbortController());
    const opened = await openChosen(deviceChoice);
    try {
      const running = await this.#load(choice, opened, progress, controller.signal);
      await this.#replace(running);
      await vocabularies.remember(choice);
      const warning = await this.#keepDropped(choice);
      return this.#facts(running, warning);
    } catch (error) {
      await opened.device.dispose();
      throw error;
    } finally {
      if (this.#loading === controller) this.#loading = undefined;
    }
  }

  /** Ends a load that is under way. */
  cancelLoad(): void {
    this.#loading?.abort();
  }

  /** Changes the device; what is being written goes on there from the same state. */
  async useDevice(choice: DeviceChoice): Promise<ModelFacts> {
    const running = this.#require();
    await this.#move(async () => {
      const opened = await openChosen(choice);
      try {
        await this.#replace(await this.#load(running.choice, opened));
      } catch (error) {
        await opened.device.dispose();
        throw error;
      }
    });
    return this.#facts(this.#require());
  }

  /**
   * Writes an answer and tells what comes. Device failures are survived: the device is opened anew, on WASM
   * where WebGPU fails twice, and writing goes on from the last state.
   */
  async write(request: WriteRequest, tell: (event: WriteEvent) => void): Promise<WriteResult> {
    const job: Job = {
      request,
      tell,
      written: [...request.answer.written],
      pathTokens: {},
      interrupt: new AbortController(),
      attempt: undefined,
      checkpoint: undefined,
      stopped: false,
    };
    this.#jobs.set(request.id, job);
    try {
      for (let failures = 0; ;) {
        await this.#moving;
        const running = this.#require();
        try {
          job.attempt = this.#attempt(running, job);
          return await job.attempt;
        } catch (error) {
          if (job.stopped) return this.#result(running.model, job, 'stopped');
          if (this.#moving || this.#running !== running) {
            await this.#moving;
            const { facts } = this.#require();
            tell({ kind: 'moved', device: facts });
            continue;
          }
          if (!isDeviceFailure(error) || ++failures > mostRecoveries) throw error;
          await this.#recover(error, failures);
          tell({ kind: 'moved', device: this.#require().facts, because: messageOf(error) });
        }
      }
    } finally {
      this.#jobs.delete(request.id);
    }
  }

  /** Stops a writing; `write` gives what there is. */
  stop(id: string): void {
    const job = this.#jobs.get(id);
    if (!job) return;
    job.stopped = true;
    job.interrupt.abort();
  }

  /** The state after the last of these messages, as a file. */
  async saveState(path: readonly PathStep[]): Promise<Blob> {
    const { model } = this.#require();
    const { session } = await this.#sessionAt(model, path, {});
    try {
      return new Blob([encodeState(await session.save()) as Uint8Array<ArrayBuffer>]);
    } finally {
      await session.dispose();
    }
  }

  /** Reads a state file for the model, to continue after a message with this id. */
  async loadState(file: Blob, id: string): Promise<{ tokenCount: number }> {
    const { model } = this.#require();
    const state = await loadState(file, model);
    await this.#states.put(id, state, { pinned: true });
    return { tokenCount: state.tokenCount + (state.pending === undefined ? 0 : 1) };
  }

  /** Forgets the states of all other messages. */
  keepStates(ids: readonly string[]): Promise<void> {
    return this.#states.keepOnly(new Set(ids));
  }

  /** True when the browser had no room for the last state: it is in memory alone. */
  statesAreHeldOnly(): boolean {
    return this.#states.full;
  }

  /** Models that the browser keeps. */
  async stored(): Promise<readonly StoredModel[]> {
    const files = await keptFiles.kept().catch(() => []);
    const cache = await this.#openCache();
    const entries = await cache.list();
    return [
      ...files.map(({ name, bytes }) => ({
        choice: { kind: 'kept' as const, name },
        name,
        bytes,
      })),
      ...entries
        .filter(({ whole, address }) => whole && isForeignModel(address))
        .map(({ address, storedBytes }) => ({
          choice: { kind: 'address' as const, address },
          name: address.replace(/^https?:\/\//, ''),
          bytes: storedBytes,
        })),
    ];
  }

  /** Deletes a stored model. */
  async forget({ choice }: StoredModel): Promise<void> {
    if (choice.kind === 'kept') await keptFiles.forget(choice.name);
    if (choice.kind === 'address') await (await this.#openCache()).delete(choice.address);
  }

  async #load(
    choice: ModelChoice,
    opened: OpenedDevice,
    progress: (progress: LoadProgress) => void = () => {},
    signal: AbortSignal = new AbortController().signal,
  ): Promise<Running> {
    const hub = { cache: await this.#openCache() };
    const loaded = await load(choice, { device: opened.device, hub, progress, signal });
    return { ...loaded, ...opened, choice };
  }

  /** Puts a model in the place of the one that is there. */
  async #replace(running: Running): Promise<void> {
    const before = this.#running;
    this.#running = running;
    if (!before) return;
    await before.model.dispose().catch(() => {});
    await before.device.dispose().catch(() => {});
  }

  /** Interrupts what is being written, changes the device, and lets it go on. */
  async #move(change: () => Promise<void>): Promise<void> {
    await this.#moving;
    const jobs = [...this.#jobs.values()];
    for (const job of jobs) job.interrupt.abort();
    const moving = Promise.allSettled(jobs.map(({ attempt }) => attempt)).then(change);
    const settled = moving.catch(() => {});
    this.#moving = settled;
    try {
      await moving;
    } finally {
      if (this.#moving === settled) this.#moving = undefined;
    }
  }

  /** Opens the device anew after it failed: the same kind once, WASM from then on. */
  async #recover(error: unknown, failures: number): Promise<void> {
    const failed = this.#require();
    if (this.#moving) return void (await this.#moving);
    const again: DeviceChoice =
      failures === 1 && failed.facts.name === 'webgpu' ? 'webgpu' : 'wasm';
    await this.#move(async () => {
      const opened = await openChosen(again);
      const instead = again === failed.facts.name ? {} : { insteadOf: messageOf(error) };
      const facts = { ...opened.facts, ...instead };
      await this.#replace(await this.#load(failed.choice, { ...opened, facts }));
    });
  }

  async #attempt({ model }: Running, job: Job): Promise<WriteResult> {
    const { request, tell } = job;
    job.interrupt = new AbortController();
    const { signal } = job.interrupt;
    if (job.stopped) job.interrupt.abort();
    const session = await this.#begin(model, job, signal);
    try {
      const generation = session.generate({
        ...request.sampling,
        seed: request.seed,
        stop: request.stop,
        maxTokens: Math.max(0, request.maxTokens - job.written.length),
        signal,
      });
      const teller = new PieceTeller((text, tokens, milliseconds) =>
        tell(this.#event(model, session, text, tokens, milliseconds)),
      );
      try {
        for await (const piece of generation) teller.push(piece, generation.tokens);
      } finally {
        teller.end(generation.tokens);
        job.written.push(...generation.tokens);
      }
      await this.#keep(request.answer, session);
      return this.#result(model, job, generation.finishReason ?? 'length');
    } catch (error) {
      if (signal.aborted) await this.#leave(job, session);
      throw error;
    } finally {
      await session.dispose();
    }
  }

  /** A session where the writing begins or was interrupted. */
  async #begin(model: LanguageModel, job: Job, signal: AbortSignal): Promise<Session> {
    const { request, tell, written, checkpoint } = job;
    if (checkpoint?.written === written.length && fits(checkpoint.state, model)) {
      return model.session({ state: checkpoint.state });
    }
    const { session, begins, ended } = await this.#sessionAt(model, request.path, {
      signal,
      pathTokens: job.pathTokens,
      progress: (read, total) => tell({ kind: 'reading', read, total }),
    });
    try {
      if (begins) await this.#keep(request.path.at(-1), session);
      // Where a text has ended, the next one begins.
      if (ended && written.length === 0) written.push(0);
      const { prefix } = request.answer;
      if (written.length === 0 && prefix !== '') {
        written.push(...model.tokenizer!.encode(prefix));
        tell(this.#event(model, session, prefix, [...written], 0));
      }
      await session.feed(written, { signal });
      return session;
    } catch (error) {
      await session.dispose();
      throw error;
    }
  }

  /** Remembers where an interrupted writing was; without it, it is read again from the text. */
  async #leave(job: Job, session: Session): Promise<void> {
    try {
      const state = await session.save();
      job.checkpoint = { state, written: job.written.length };
      if (job.stopped) await this.#states.put(job.request.answer.id, state);
    } catch {
      job.checkpoint = undefined;
    }
  }

  #result(model: LanguageModel, job: Job, finish: WriteResult['finish']): WriteResult {
    const { written, pathTokens, request } = job;
    const fed = model.tokenizer!.decode(written);
    return {
      fed,
      text: finish === 'stop' ? cutAt(fed, request.stop) : fed,
      tokens: written,
      finish,
      fingerprint: model.fingerprint,
      pathTokens,
    };
  }

  #event(
    model: LanguageModel,
    session: Session,
    text: string,
    tokens: readonly number[],
    milliseconds: number,
  ): WriteEvent {
    const { parameters, states } = model.bytes;
    return {
      kind: 'written',
      text,
      tokens,
      milliseconds,
      position: session.tokenCount,
      deviceBytes: parameters + states,
    };
  }

  /** Keeps the state after a message. */
  async #keep(message: { readonly id: string } | undefined, session: Session): Promise<void> {
    if (message) await this.#states.put(message.id, await session.save());
  }

  /**
   * A session that has read these messages: from the last state that is kept, and from the text where
   * none is.
   *
   * @param how.pathTokens takes the tokens of the messages that were read
   * @returns `begins`: something was read, so the state is a new one; `ended`: the model said that the
   * text ends here, so nothing follows its last token
   */
  async #sessionAt(
    model: LanguageModel,
    path: readonly PathStep[],
    {
      signal,
      progress,
      pathTokens = {},
    }: {
      signal?: AbortSignal;
      progress?: (read: number, total: number) => void;
      pathTokens?: Record<string, readonly number[]>;
    },
  ): Promise<{ session: Session; begins: boolean; ended: boolean }> {
    let from = path.length;
    let session: Session | undefined;
    let ended = false;
    for (; from > 0 && !session; from--) {
      const state = await this.#states.get(path[from - 1]!.id);
      if (!state || !fits(state, model)) continue;
      session = model.session({ state });
      ended = from === path.length && state.pending === undefined && !state.logits;
      break;
    }
    const tokens: number[] = session ? [] : [0];
    session ??= model.session();
    for (const { id, fed, tokens: known, fingerprint, isState } of path.slice(from)) {
      if (isState) {
        throw new UsageError(
          `This column begins with a saved state of another model, and ${this.#require().name} cannot go on ` +
            'from it; load the model that it was saved with, or begin a new text.',
        );
      }
      const own = known && fingerprint === model.fingerprint ? known : model.tokenizer!.encode(fed);
      pathTokens[id] = Array.from(own);
      tokens.push(...pathTokens[id]);
    }
    try {
      await session.feed(tokens, { signal, progress });
      return { session, begins: from < path.length, ended };
    } catch (error) {
      await session.dispose();
      throw error;
    }
  }

  /** A dropped file is copied, so that the next visit has it; says so when it cannot be. */
  async #keepDropped(choice: ModelChoice): Promise<string | undefined> {
    if (choice.kind !== 'files' || choice.files.length !== 1) return undefined;
    const [file] = choice.files;
    try {
      await keptFiles.keep(file!, choice.vocabulary);
      return undefined;
    } catch (error) {
      const full = error instanceof DOMException && error.name === 'QuotaExceededError';
      const why = full
        ? `the browser's storage is full (${megabytes(file!.size)} were needed)`
        : messageOf(error);
      return `The model runs, but could not be kept for the next visit: ${why}. Free some room by deleting stored models, then open it again.`;
    }
  }

  #facts(running: Running, warning?: string): ModelFacts {
    const { model, name, dtype, facts, choice } = running;
    const { version, layers, width, vocabularySize } = model.config;
    const warnings = [warning, this.#cacheWarning].filter((one) => one !== undefined);
    this.#cacheWarning = undefined;
    return {
      name,
      version,
      layers,
      width,
      vocabularySize,
      dtype,
      fingerprint: model.fingerprint,
      recommended: recommendedOf(choice),
      parameterBytes: model.bytes.parameters,
      stateBytes: model.bytes.states,
      device: facts,
      ...(warnings.length > 0 && { warning: warnings.join(' ') }),
    };
  }

  #openCache(): Promise<Cache> {
    return (this.#cache ??= openCache({ warn: (message) => (this.#cacheWarning = message) }));
  }

  #require(): Running {
    if (this.#running) return this.#running;
    throw new UsageError('Writing: no model is loaded; choose one first.');
  }
}

function fits({ fingerprint, kind }: SessionState, model: LanguageModel): boolean {
  return fingerprint === model.fingerprint && kind === model.stateKind;
}

/** The first stop text ends the answer. */
function cutAt(text: string, stops: readonly string[]): string {
  const places = stops.map((stop) => text.indexOf(stop)).filter((at) => at >= 0);
  return places.length > 0 ? text.slice(0, Math.min(...places)) : text;
}

/** A device that failed, or a session that went down with it. */
function isDeviceFailure(error: unknown): boolean {
  if (error instanceof DeviceError) return true;
  return error instanceof Error && error.cause instanceof DeviceError;
}

/** Of the cache: models by address, but for the files of this page and vocabularies. */
function isForeignModel(address: string): boolean {
  return !address.startsWith(globalThis.location.origin) && !/\.(?:txt|json)$/.test(address);
}

const megabytes = (bytes: number): string => `${Math.ceil(bytes / 1e6)} MB`;
