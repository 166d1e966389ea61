import { Command, CommanderError, InvalidArgumentError } from '@commander-js/extra-typings';
import { Presets, SingleBar } from 'cli-progress';
import { fuzz } from './fuzz.ts';
import type { FuzzCommand } from './fuzzer.ts';

/** Where a run of the program writes, and what stops it. */
export interface FuzzTerminal {
  out(text: string): void;
  error(text: string): void;
  readonly signal: AbortSignal;
}

/**
 * Runs the fuzz program.
 *
 * @param args the name of a fuzzer and its options
 * @returns the exit code: 0 when all held, 1 when one failed or the arguments are wrong, 130 when it was
 * stopped
 */
export async function runFuzz(
  commands: readonly FuzzCommand[],
  args: readonly string[],
  terminal: FuzzTerminal,
): Promise<number> {
  let code = 0;
  const program = new Command('fuzz')
    .description('Tries a part of the house with random inputs until one fails.')
    .configureOutput({ writeOut: terminal.out, writeErr: terminal.error })
    .exitOverride();
  for (const command of commands) {
    program
      .command(command.name)
      .summary(command.summary)
      .description(`Tries whether ${command.summary}.`)
      .option('--runs <number>', 'inputs to try', wholeNumber(1), 1000)
      .option('--seed <number>', 'decides all inputs; random when not given', wholeNumber(0))
      .option(
        '--path <numbers>',
        'begins with one input of the seed, as a failed run names it',
        place,
      )
      .action(async ({ runs, seed = randomSeed(), path }) => {
        code = await run(command, { runs, seed, path }, terminal);
      });
  }
  try {
    await program.parseAsync(args, { from: 'user' });
  } catch (error) {
    if (error instanceof CommanderError) return error.exitCode;
    throw error;
  }
  return code;
}

async function run(
  command: FuzzCommand,
  options: { readonly runs: number; readonly seed: number; readonly path: string | undefined },
  { out, error, signal }: FuzzTerminal,
): Promise<number> {
  const { name, unit } = command;
  out(`fuzz ${name}: ${options.runs} runs, seed ${options.seed}\n`);
  const format = '{bar} {value}/{total} runs | {count} {unit} | {eta_formatted} left';
  // It shows on terminals only.
  const bar = new SingleBar({ format }, Presets.shades_grey);
  bar.start(options.runs, 0, { count: 0, unit });
  const progress = (runs: number, count: number): void => bar.update(runs, { count });
  const report = await fuzz(command, { ...options, signal, progress });
  bar.stop();
  out(`${report.runs} runs held, ${report.count} ${unit}\n`);
  if (report.failure === undefined) return signal.aborted ? 130 : 0;
  error(`${report.failure}\n`);
  return 1;
}

function wholeNumber(least: number): (text: string) => number {
  const most = 2 ** 31 - 1;
  return (text) => {
    const value = Number(text);
    if (/^\d+$/.test(text) && value >= least && value <= most) return value;
    throw new InvalidArgumentError(`It must be a whole number from ${least} to ${most}.`);
  };
}

function place(text: string): string {
  if (/^\d+(?::\d+)*$/.test(text)) return text;
  throw new InvalidArgumentError('It must be the numbers that a failed run gave, as 3:0:1.');
}

function randomSeed(): number {
  return crypto.getRandomValues(new Uint32Array(1))[0]! >>> 1;
}
