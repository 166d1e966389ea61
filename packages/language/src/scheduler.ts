import { sampleSettings, type SampleSettings } from '@rwkv-js/core';
import { UsageError, type Device, type HostArray } from '@rwkv-js/tensor';
import type { Sequence, Slots } from './slots.ts';
import type { StepExecutables } from './step-programs.ts';

/** Tokens that a sequence wants to go through, and what it wants to know of them. */
export interface Work {
  readonly sequence: Sequence;
  readonly tokens: ArrayLike<number>;
  readonly signal?: AbortSignal | undefined;
  /** Called after each step with the number of tokens that have gone through. */
  readonly progress?: ((fed: number) => void) | undefined;
  /** Called with the logits after each token, or after the last one only. */
  readonly logits?: {
    readonly of: 'all' | 'last';
    readonly take: (logits: Float32Array, token: number) => void;
  };
  /** Draw the token that follows the last one. */
  readonly sample?: {
    readonly settings: SampleSettings;
    readonly seed: number;
    readonly position: number;
    /** What the tokens drawn so far count for, when it is not what the slot holds already. */
    readonly occurrences?: Float32Array | undefined;
    readonly take: (token: number) => void;
  };
  /** Score this target after each token: its log-probability in nats. */
  readonly score?: {
    readonly targets: ArrayLike<number>;
    readonly take: (logProbability: number, token: number) => void;
  };
}

interface Waiting {
  readonly work: Work;
  fed: number;
  readonly resolve: () => void;
  readonly reject: (reason: unknown) => void;
}

/** One sequence's share of a step. */
interface Share {
  readonly waiting: Waiting;
  /** Tokens of the work that go into this step, from `waiting.fed` on. */
  readonly count: number;
}

/**
 * Runs the steps of a model. Works that wait at the same moment go through the device together,
 * packed into one step; the one that was served longest ago comes first.
 */
export class Scheduler {
  readonly #device: Device;
  readonly #executables: StepExecutables;
  readonly #slots: Slots;
  #waiting: Waiting[] = [];
  #running: Promise<void> | undefined;
  #lock: Promise<unknown> = Promise.resolve();

  constructor(device: Device, executables: StepExecutables, slots: Slots) {
    this.#device = device;
    this.#executables = executables;
    this.#slots = slots;
  }

  /**
   * Puts a sequence through tokens.
   *
   * @throws AbortError when the signal asks: tokens that went through until then stay;
   * DeviceError when the device failed: the sequence's state is lost.
   */
  async run(work: Work): Promise<void> {
    work.signal?.throwIfAborted();
    if (work.tokens.length === 0) return;
    await new Promise<void>((resolve, reject) => {
      this.#waiting.push({ work, fed: 0, resolve, reject });
      this.#running ??= this.#loop();
    });
  }

  /** Runs `action` between two steps, when no state is on the move. */
  exclusively<Result>(action: () => Promise<Result>): Promise<Result> {
    const result = this.#lock.then(action);
    this.#lock = result.catch(() => undefined);
    return result;
  }

  /** Fails what waits for a sequence that is no longer wanted. */
  drop(sequence: Sequence, reason: Error): void {
    this.#end(
      this.#waiting.filter(({ work }) => work.sequence === sequence),
      reason,
    );
  }

  /** Fails everything that waits and returns when nothing runs any more. */
  async stop(reason: Error): Promise<void> {
    this.#end(this.#waiting, reason);
    await this.#running;
    await this.#lock;
  }

  async #loop(): Promise<void> {
    try {
      // Works that are asked for in the same turn of the event loop share the first step.
      await nextTurn();
      while (this.#waiting.length > 0) {
        await this.exclusively(() => this.#step());
        // Between steps the thread is free: for signals, timers and whatever else runs here.
        await nextTurn();
      }
    } finally {
      this.#running = undefined;
    }
  }

  async #step(): Promise<void> {
    for (const waiting of this.#waiting.filter(({ work }) => work.signal?.aborted)) {
      this.#end([waiting], waiting.work.signal!.reason);
    }
    const shares = share(this.#waiting, this.#slots.count, this.#device.kernels.tokenBuckets);
    if (shares.length === 0) return;
    const served = shares.map(({ waiting }) => waiting);
    let results: readonly (() => void)[][];
    try {
      await this.#slots.seat(served.map(({ work }) => work.sequence));
      results = await this.#runShares(shares);
    } catch (error) {
      // A step that was refused has changed nothing; one that failed has taken its states with it.
      if (!(error instanceof UsageError)) {
        for (const { work } of served) work.sequence.lost = error as Error;
      }
      this.#end(served, error);
      return;
    }
    // Whoever was served goes to the end of the line.
    const staying = served.filter((waiting) => this.#waiting.includes(waiting));
    this.#waiting = [...this.#waiting.filter((one) => !staying.includes(one)), ...staying];
    shares.forEach(({ waiting, count }, i) => {
      waiting.fed += count;
      this.#deliver(waiting, results[i]!);
    });
  }

  /**
   * Tells a work what a step gave it. It may end by that: what it calls may throw, which is its own
   * failure and nobody else's, or dispose the session or the model.
   */
  #deliver(waiting: Waiting, results: readonly (() => void)[]): void {
    const { work, fed } = waiting;
    const calls = [() => work.progress?.(fed), ...results];
    for (const call of calls) {
      if (!this.#waiting.includes(waiting)) return;
      try {
        call();
      } catch (error) {
        this.#end([waiting], error);
      }
    }
    if (fed < work.tokens.length || !this.#waiting.includes(waiting)) return;
    this.#waiting = this.#waiting.filter((one) => one !== waiting);
    waiting.resolve();
  }

  /** Takes works out of the line and fails them. */
  #end(ended: readonly Waiting[], reason: unknown): void {
    this.#waiting = this.#waiting.filter((waiting) => !ended.includes(waiting));
    for (const { reject } of ended) reject(reason);
  }

  /**
   * Packs the shares into one step's inputs, runs it, and gives for each share the calls that tell its
   * work what came out.
   */
  async #runShares(shares: readonly Share[]): Promise<(() => void)[][]> {
    const buckets = this.#device.kernels.tokenBuckets;
    // In the packed rows, sequences lie in the order of their slots.
    const ordered = [...shares].sort(
      (a, b) => a.waiting.work.sequence.slot! - b.waiting.work.sequence.slot!,
    );
    const tokenBucket = bucketFor(
      ordered.reduce((sum, { count }) => sum + count, 0),
      buckets,
    );
    const tokens = new Int32Array(tokenBucket);
    const offsets = new Int32Array(this.#slots.count + 1);
    const settings = new Float32Array(this.#slots.count * sampleSettings.length);
    const random = new Int32Array(this.#slots.count * 2);
    const rows: Row[] = [];
    let at = 0;
    for (const { waiting, count } of ordered) {
      const { work, fed } = waiting;
      const slot = work.sequence.slot!;
      for (let i = 0; i < count; i++) {
        tokens[at + i] = work.tokens[fed + i]!;
        const isLast = fed + i === work.tokens.length - 1;
        const wanted =
          work.score !== undefined ||
          work.logits?.of === 'all' ||
          (isLast && (work.logits !== undefined || work.sample !== undefined));
        if (wanted) rows.push({ work, token: fed + i, row: at + i, isLast });
      }
      at += count;
      offsets.fill(at, slot + 1);
      if (work.sample) {
        const values = sampleSettings.map((name) => work.sample!.settings[name]);
        settings.set(values, slot * sampleSettings.length);
        random.set([work.sample.seed, work.sample.position], 2 * slot);
        const { occurrences } = work.sample;
        if (occurrences) this.#slots.set(work.sequence, 'sampler.occurrences', occurrences);
      }
    }
    const rowBucket = bucketFor(Math.max(rows.length, 1), buckets);
    const perRow = (of: (row: Row) => number): Int32Array => {
      const values = new Int32Array(rowBucket).fill(-1);
      rows.forEach((row, i) => (values[i] = of(row)));
      return values;
    };
    const executable = await this.#executables.get(tokenBucket, rowBucket);
    executable.run({
      tokens,
      offsets,
      logitRows: perRow(({ row }) => row),
      sampleSlots: perRow(({ work, isLast }) => (work.sample && isLast ? work.sequence.slot! : -1)),
      targets: perRow(({ work, token }) => work.score?.targets[token] ?? -1),
      settings,
      random,
    });
    const names = outputsFor(rows);
    // Reading waits for the step; without anything to read, wait all the same, to see it fail.
    const outputs = await executable.read(...(names.length > 0 ? names : (['sampled'] as const)));
    return shares.map(({ waiting: { work } }) =>
      rows.flatMap((row, i) =>
        row.work === work ? [() => handOut(row, i, rowBucket, outputs)] : [],
      ),
    );
  }
}

/** A row of logits that somebody wants. */
interface Row {
  readonly work: Work;
  /** Place of the token in the work, and of its row in the step. */
  readonly token: number;
  readonly row: number;
  readonly isLast: boolean;
}

type OutputName = 'logits' | 'sampled' | 'logProbabilities';

function outputsFor(rows: readonly Row[]): readonly OutputName[] {
  const names: OutputName[] = [];
  if (rows.some(({ work }) => work.logits)) names.push('logits');
  if (rows.some(({ work }) => work.sample)) names.push('sampled');
  if (rows.some(({ work }) => work.score)) names.push('logProbabilities');
  return names;
}

function handOut(
  { work, token, isLast }: Row,
  index: number,
  bucket: number,
  outputs: Partial<Record<OutputName, HostArray>>,
): void {
  if (work.logits && (work.logits.of === 'all' || isLast)) {
    const vocabulary = outputs.logits!.length / bucket;
    const logits = outputs.logits!.slice(index * vocabulary, (index + 1) * vocabulary);
    work.logits.take(Float32Array.from(logits), token);
  }
  if (work.sample && isLast) work.sample.take(outputs.sampled![index]!);
  if (work.score) work.score.take(outputs.logProbabilities![index]!, token);
}

/**
 * Who goes into the next step with how many tokens. Everyone picked has one; what the step holds
 * beyond goes to the first in line. The step is no larger than a full bucket, so that no row is
 * computed for nothing, unless the number of sequences itself lies between buckets.
 */
function share(
  waiting: readonly Waiting[],
  slots: number,
  buckets: readonly number[],
): readonly Share[] {
  const picked = waiting.slice(0, Math.min(slots, buckets.at(-1)!));
  const left = picked.map(({ work, fed }) => work.tokens.length - fed);
  const total = left.reduce((sum, count) => sum + count, 0);
  const filled = buckets.findLast((bucket) => bucket <= total) ?? 0;
  let extra = Math.max(filled - picked.length, 0);
  return picked.map((one, i) => {
    const more = Math.min(extra, left[i]! - 1);
    extra -= more;
    return { waiting: one, count: 1 + more };
  });
}

function bucketFor(count: number, buckets: readonly number[]): number {
  const bucket = buckets.find((size) => size >= count);
  if (bucket !== undefined) return bucket;
  throw new UsageError(`a step of ${count} rows is larger than the device's ${buckets.at(-1)}`);
}

/** Resolves in a later turn of the event loop, when timers and messages have had theirs. */
function nextTurn(): Promise<void> {
  return new Promise((resolve) => {
    if (typeof setImmediate === 'function') {
      setImmediate(resolve);
      return;
    }
    // A page has no setImmediate, and slows chained timers down; messages are not slowed down.
    const { port1, port2 } = new MessageChannel();
    port1.addEventListener('message', () => {
      port1.close();
      resolve();
    });
    port1.start();
    port2.postMessage(undefined);
  });
}
