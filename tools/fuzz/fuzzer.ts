/** Something that throws broken input at a part of the house and watches what it does. */
export interface Fuzzer {
  readonly name: string;
  /** One line for the help. */
  readonly summary: string;
  /** Where its cases begin; called once. */
  start(): Promise<RunCase>;
}

/**
 * Runs the case of a seed, and says what became of it, in a word or two for the table: `loaded`,
 * `FormatError`. What is wrong is thrown.
 */
export type RunCase = (seed: number) => Promise<string>;

export interface FuzzOptions {
  readonly runs: number;
  /** Run `i` is the case of seed + `i`, so that one run repeats it. */
  readonly seed: number;
  /** Processor time that a case may take. */
  readonly mostSeconds?: number;
  readonly signal?: AbortSignal;
  /** Told before every case. */
  readonly progress?: (run: number) => void;
}

export interface FuzzFailure {
  readonly seed: number;
  readonly error: unknown;
}

export interface FuzzReport {
  readonly runs: number;
  /** How many cases ended how. */
  readonly outcomes: ReadonlyMap<string, number>;
  readonly failures: readonly FuzzFailure[];
  /** The case that took longest. */
  readonly slowest: { readonly seed: number; readonly seconds: number };
}

/** More failures than this tell nothing new. */
const mostFailures = 20;

/** Runs the cases of a fuzzer one after another. */
export async function fuzz(
  fuzzer: Fuzzer,
  { runs, seed, mostSeconds = Infinity, signal, progress }: FuzzOptions,
): Promise<FuzzReport> {
  const runCase = await fuzzer.start();
  const outcomes = new Map<string, number>();
  const failures: FuzzFailure[] = [];
  let slowest = { seed, seconds: 0 };
  let run = 0;
  for (; run < runs && failures.length < mostFailures && !signal?.aborted; run++) {
    progress?.(run);
    const before = process.cpuUsage();
    let outcome: string;
    try {
      outcome = await runCase(seed + run);
      const { user, system } = process.cpuUsage(before);
      const seconds = (user + system) / 1e6;
      if (seconds > slowest.seconds) slowest = { seed: seed + run, seconds };
      if (seconds > mostSeconds) throw new Error(`it took ${seconds.toFixed(2)} s (${outcome})`);
    } catch (error) {
      outcome = 'failed';
      failures.push({ seed: seed + run, error });
    }
    outcomes.set(outcome, (outcomes.get(outcome) ?? 0) + 1);
  }
  return { runs: run, outcomes, failures, slowest };
}
