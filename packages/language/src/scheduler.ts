import { sampleSettings, type SampleSettings } from '@rwkv-js/core';
import { UsageError, type Device, type Executable, type HostArray } from '@rwkv-js/tensor';
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
  /**
   * Draw the token that follows the last one, and further ones: how many is the scheduler's choice. Each
   * but the last has gone through too; before the second the slot is checkpointed, see `Sequence`.
   */
  readonly sample?: {
    readonly settings: SampleSettings;
    readonly seed: number;
    /** Position of the first of them. */
    readonly position: number;
    /** What the tokens drawn so far count for, when it is not what the slot holds already. */
    readonly occurrences?: Float32Array | undefined;
    /** Most tokens to draw, from 1. */
    readonly most: number;
    readonly take: (tokens: readonly number[]) => void;
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
 *
 * A step is followed by one readback, but for bursts: while everyone who waits is writing, up to
 * `stepsPerReadback` steps (of the kernel table) are queued at once, each beginning with the tokens that
 * the one before it drew. A prompt that arrives waits for the end of a burst at most, and until it is
 * read there are no others: a step that reads a prompt is long against a readback. Logits and scores come
 * to the host step by step, so they end bursts as well.
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

  /** Puts a sequence back to its checkpoint. */
  rewind(sequence: Sequence): Promise<void> {
    return this.exclusively(async () => this.#slots.rewind(sequence));
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

  /** A step and its readback, or a burst of steps with one. */
  async #step(): Promise<void> {
    for (const waiting of this.#waiting.filter(({ work }) => work.signal?.aborted)) {
      this.#end([waiting], waiting.work.signal!.reason);
    }
    const shares = share(this.#waiting, this.#slots.count, this.#device.kernels.tokenBuckets);
    if (shares.length === 0) return;
    const steps = this.#stepsFor(shares);
    const served = shares.map(({ waiting }) => waiting);
    let results: readonly (() => void)[][];
    try {
      await this.#slots.seat(served.map(({ work }) => work.sequence));
      results = await this.#runShares(shares, steps);
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

  /** How many steps to queue before a readback. Nobody gets more tokens than it wants. */
  #stepsFor(shares: readonly Share[]): number {
    const allWrite = this.#waiting.every(({ work, fed }) => {
      return work.sample && !work.logits && !work.score && fed === work.tokens.length - 1;
    });
    if (!allWrite) return 1;
    const wanted = shares.map(({ waiting }) => waiting.work.sample!.most);
    return Math.min(this.#device.kernels.stepsPerReadback, ...wanted);
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
   * Packs the shares into a step's inputs, runs it, and further ones that begin with what the one before
   * drew, and gives for each share the calls that tell its work what came out.
   */
  async #runShares(shares: readonly Share[], steps: number): Promise<(() => void)[][]> {
    // In the packed rows, sequences lie in the order of their slots.
    const ordered = [...shares].sort(
      (a, b) => a.waiting.work.sequence.slot! - b.waiting.work.sequence.slot!,
    );
    const { inputs, rows, tokenBucket, rowBucket } = this.#pack(ordered);
    const executable = await this.#executables.get(tokenBucket, rowBucket);
    executable.run(inputs);
    if (steps > 1) this.#slots.checkpoint(ordered.map(({ waiting }) => waiting.work.sequence));
    for (let step = 1; step < steps; step++) {
      executable.run({
        ...inputs,
        // Every row is a sequence's only one, and goes on with the token drawn last for it.
        tokens: inputs.tokens.map((_, row) => (row < rows.length ? -1 : 0)),
        random: inputs.random.map((value, i) => (i % 2 === 1 ? value + step : value)),
      });
    }
    const [outputs, drawn] = await Promise.all([
      readOutputs(executable, rows),
      // Reading waits for the steps; without anything to read, it is done to see them fail.
      this.#slots.readDrawn(),
    ]);
    const kept = drawn.length / this.#slots.count;
    return shares.map(({ waiting: { work } }) => {
      const end = (work.sequence.slot! + 1) * kept;
      const tokens = [...drawn.subarray(end - steps, end)];
      return rows.flatMap((row, i) =>
        row.work === work ? [() => handOut(row, outputsOf(outputs, i, rowBucket), tokens)] : [],
      );
    });
  }

  /** One step's inputs, and the rows of logits that are wanted of it. */
  #pack(ordered: readonly Share[]): {
    readonly inputs: Readonly<Record<string, Int32Array | Float32Array>> & {
      readonly tokens: Int32Array;
      readonly random: Int32Array;
    };
    readonly rows: readonly Row[];
    readonly tokenBucket: number;
    readonly rowBucket: number;
  } {
    const buckets = this.#device.kernels.tokenBuckets;
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
    const inputs = {
      tokens,
      offsets,
      logitRows: perRow(({ row }) => row),
      sampleSlots: perRow(({ work, isLast }) => (work.sample && isLast ? work.sequence.slot! : -1)),
      targets: perRow(({ work, token }) => work.score?.targets[token] ?? -1),
      settings,
      random,
    };
    return { inputs, rows, tokenBucket, rowBucket };
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

type Outputs = Partial<Record<'logits' | 'logProbabilities', HostArray>>;

/** What the host wants to see of the step that ran last, besides the drawn tokens. */
async function readOutputs(executable: Executable, rows: readonly Row[]): Promise<Outputs> {
  const names: (keyof Outputs)[] = [];
  if (rows.some(({ work }) => work.logits)) names.push('logits');
  if (rows.some(({ work }) => work.score)) names.push('logProbabilities');
  return names.length === 0 ? {} : executable.read(...names);
}

/** One row's part of the outputs. */
function outputsOf(outputs: Outputs, row: number, rows: number): Outputs {
  return Object.fromEntries(
    Object.entries(outputs).map(([name, data]) => {
      const size = data.length / rows;
      return [name, data.subarray(row * size, (row + 1) * size)];
    }),
  );
}

function handOut({ work, token, isLast }: Row, outputs: Outputs, drawn: readonly number[]): void {
  if (work.logits && (work.logits.of === 'all' || isLast)) {
    work.logits.take(Float32Array.from(outputs.logits!), token);
  }
  if (work.sample && isLast) work.sample.take(drawn);
  if (work.score) work.score.take(outputs.logProbabilities![0]!, token);
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
