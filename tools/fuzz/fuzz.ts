import fc, { type RunDetails } from 'fast-check';
import type { FuzzCommand } from './fuzzer.ts';

export interface FuzzOptions {
  readonly runs: number;
  readonly seed: number;
  /** Place of one input among those of the seed: a run that failed says it. */
  readonly path?: string | undefined;
  /** Ends it after the run at hand. */
  readonly signal?: AbortSignal | undefined;
  /** Called after each run that held. */
  readonly progress?: ((runs: number, count: number) => void) | undefined;
}

export interface FuzzReport {
  /** Runs that held, and what they did, in the fuzzer's units. */
  readonly runs: number;
  readonly count: number;
  /** The smallest input that was found to fail and how to have it again; undefined when all held. */
  readonly failure: string | undefined;
}

/** Runs a fuzzer until its runs are done, one fails, or the signal asks. */
export async function fuzz(command: FuzzCommand, options: FuzzOptions): Promise<FuzzReport> {
  const { runs, seed, path, signal, progress } = options;
  await using fuzzer = command.open();
  let held = 0;
  let count = 0;
  let failed = false;
  const property = fuzzer.property((more) => {
    // After a failure smaller inputs are tried; those that hold are no progress.
    if (failed) return;
    held += 1;
    count += more;
    progress?.(held, count);
  });
  // The property, but for runs after the signal asked, which hold without being done.
  const stoppable: fc.IRawProperty<[unknown], true> = {
    isAsync: () => true,
    generate: (random, run) => property.generate(random, run),
    shrink: (value) => property.shrink(value),
    runBeforeEach: () => property.runBeforeEach(),
    runAfterEach: () => property.runAfterEach(),
    async run(value) {
      if (signal?.aborted) return null;
      const result = await property.run(value);
      failed ||= result !== null;
      return result;
    },
  };
  const details = await fc.check(stoppable, {
    numRuns: runs,
    seed,
    ...(path === undefined ? {} : { path }),
  });
  return { runs: held, count, failure: failureOf(command.name, details) };
}

function failureOf(name: string, details: RunDetails<[unknown]>): string | undefined {
  if (!details.failed) return undefined;
  const { seed, counterexamplePath, counterexample, numShrinks, errorInstance } = details;
  const message = errorInstance instanceof Error ? errorInstance.message : String(errorInstance);
  return (
    `${message}\nthe smallest input that fails, after ${numShrinks} steps of shrinking:\n` +
    `${fc.stringify(counterexample?.[0])}\n` +
    `run it again with: npm run fuzz -- ${name} --seed ${seed} --path ${counterexamplePath ?? ''}`
  );
}
