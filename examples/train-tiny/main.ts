import { run } from './command.ts';

/** `npm run example -- train-tiny …` */
export async function main(args: readonly string[]): Promise<number> {
  const controller = new AbortController();
  process.on('SIGINT', () => {
    // The second time it is meant.
    if (controller.signal.aborted) process.exit(130);
    controller.abort();
  });
  const { stdout, stderr } = process;
  return run(args, { stdout, stderr, signal: controller.signal });
}
