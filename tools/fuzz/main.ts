/**
 * Tries a part of the house with random inputs, for as long as you like:
 *
 *   npm run fuzz -- sessions --runs 5000 --seed 7
 *
 * A fuzzer has a file of its own and its place in this list.
 */
import { runFuzz } from './program.ts';
import { sessions } from './sessions.ts';
import { weights } from './weights.ts';

const commands = [sessions, weights];

const controller = new AbortController();
process.on('SIGINT', () => {
  // The second time it is meant.
  if (controller.signal.aborted) process.exit(130);
  controller.abort();
});

process.exitCode = await runFuzz(commands, process.argv.slice(2), {
  out: (text) => process.stdout.write(text),
  error: (text) => process.stderr.write(text),
  signal: controller.signal,
});
