import { CommanderError } from '@commander-js/extra-typings';
import { DeviceError, FormatError, ShapeError, UsageError } from 'rwkv-js';
import type { Io } from './io.ts';
import { makeProgram } from './program.ts';

/** Exit codes, as shells know them. */
const failed = 1;
const wrongUsage = 2;
export const interrupted = 130;

/**
 * Runs one command line.
 *
 * @param args without the names of Node and of the program
 * @returns the exit code: 0; 1 when it failed; 2 when the command line is wrong; 130 after Ctrl-C
 */
export async function run(args: readonly string[], io: Io): Promise<number> {
  const program = makeProgram(io);
  try {
    await program.parseAsync(args, { from: 'user' });
    return 0;
  } catch (error) {
    // Commander has said it already, or it has shown the help or the version.
    if (error instanceof CommanderError) return error.exitCode === 0 ? 0 : wrongUsage;
    if (io.signal.aborted) return interrupted;
    io.stderr.write(describe(error, program.opts()['debug'] === true));
    return failed;
  }
}

// The tokenizer stands alone and has classes of its own: it is the name that tells.
const expected = new Set(
  [DeviceError, FormatError, ShapeError, UsageError].map(({ name }) => name),
);

function describe(error: unknown, debug: boolean): string {
  const stack = error instanceof Error ? (error.stack ?? error.message) : String(error);
  if (!(error instanceof Error && expected.has(error.name))) {
    return `rwkv: this is a bug in rwkv, please report it: ${stack}\n`;
  }
  const line = `rwkv: ${error.message.replace(/\s*\n\s*/g, ' ')}\n`;
  return debug ? `${line}${stack}\n` : line;
}
