/**
 * Throws broken input at a part of the house. Prints what became of it, and what failed with the seed
 * that repeats it.
 *
 *     npm run fuzz -- weights --runs 10000 --seed 1
 */
import { Command, InvalidArgumentError } from '@commander-js/extra-typings';
import { fuzz, type Fuzzer, type FuzzReport } from './fuzzer.ts';
import { weightsFuzzer } from './weights.ts';

const fuzzers: readonly Fuzzer[] = [weightsFuzzer];

/** Processor time that a case may take. */
const mostSeconds = 1;

const wholeNumber = (text: string): number => {
  const number = Number(text);
  if (/^\d+$/.test(text) && number <= 2 ** 31) return number;
  throw new InvalidArgumentError('Give a whole number from 0 to 2147483648.');
};

const program = new Command('fuzz').description('Throws broken input at a part of the house.');
for (const fuzzer of fuzzers) {
  program
    .command(fuzzer.name)
    .description(fuzzer.summary)
    .option('--runs <n>', 'how many cases', wholeNumber, 10_000)
    .option('--seed <n>', 'seed of the first case; the others follow it', wholeNumber, 1)
    .action(async ({ runs, seed }) => {
      const stop = new AbortController();
      process.once('SIGINT', () => stop.abort());
      const report = await fuzz(fuzzer, {
        runs,
        seed,
        mostSeconds,
        signal: stop.signal,
        progress: (run) => showProgress(run, runs, seed),
      });
      if (process.stderr.isTTY) process.stderr.write('\r\u001b[K');
      printReport(fuzzer, report);
      if (report.failures.length > 0) process.exitCode = 1;
    });
}
await program.parseAsync();

/** The seed that is at work is shown, so that one that never ends is known. */
function showProgress(run: number, runs: number, seed: number): void {
  if (process.stderr.isTTY) process.stderr.write(`\r${run} of ${runs}, seed ${seed + run}\u001b[K`);
}

function printReport(fuzzer: Fuzzer, { runs, outcomes, failures, slowest }: FuzzReport): void {
  console.log(`${fuzzer.name}: ${runs} cases`);
  for (const [outcome, count] of [...outcomes].sort()) console.log(`  ${count}  ${outcome}`);
  console.log(`  slowest: ${slowest.seconds.toFixed(3)} s, seed ${slowest.seed}`);
  for (const { seed, error } of failures) {
    const text = error instanceof Error ? (error.stack ?? error.message) : String(error);
    console.log(`\nseed ${seed}: ${text}`);
    console.log(`repeat it with: npm run fuzz -- ${fuzzer.name} --runs 1 --seed ${seed}`);
  }
}
