/**
 * Tries a part of the house with random inputs, for as long as you like:
 *
 *     npm run fuzz -- weights --runs 10000 --seed 7
 */
import { Command, InvalidArgumentError } from '@commander-js/extra-typings';
import fc from 'fast-check';
import type { FuzzCommand } from './fuzzer.ts';
import { weights } from './weights.ts';

const commands: readonly FuzzCommand[] = [weights];

const wholeNumber = (text: string): number => {
  if (/^\d{1,9}$/.test(text)) return Number(text);
  throw new InvalidArgumentError('It must be a whole number below a billion.');
};

const program = new Command('fuzz').description(
  'Tries a part of the house with random inputs until one fails.',
);
for (const { name, summary, unit, open } of commands) {
  program
    .command(name)
    .summary(summary)
    .description(`Tries whether ${summary}.`)
    .option('--runs <number>', 'inputs to try', wholeNumber, 1000)
    .option('--seed <number>', 'decides all inputs', wholeNumber, 1)
    .option('--path <numbers>', 'begins with one input of the seed, as a failed run names it')
    .action(async ({ runs, seed, path }) => {
      await using fuzzer = open();
      let [held, count] = [0, 0];
      const property = fuzzer.property((more) => {
        held += 1;
        count += more;
      });
      const details = await fc.check(property, { numRuns: runs, seed, ...(path && { path }) });
      console.log(`${held} runs held, ${count} ${unit}`);
      if (!details.failed) return;
      process.exitCode = 1;
      const error = details.errorInstance;
      console.error(error instanceof Error ? error.stack : String(error));
      console.error(`input: ${fc.stringify(details.counterexample?.[0])}`);
      console.error(
        `run it again with: npm run fuzz -- ${name} --seed ${seed} --path ${details.counterexamplePath ?? ''}`,
      );
    });
}
await program.parseAsync();
