#!/usr/bin/env node
import { constants } from 'node:os';
import { processStdin } from './io.ts';
import { interrupted, run } from './run.ts';

const controller = new AbortController();
let stoppedBy: 'SIGINT' | 'SIGTERM' | undefined;
for (const signal of ['SIGINT', 'SIGTERM'] as const) {
  process.on(signal, () => {
    // The second time it is meant.
    if (stoppedBy) process.exit(128 + constants.signals[signal]);
    stoppedBy = signal;
    controller.abort();
  });
}

// When the reader has gone, as in `rwkv generate | head -1`, nobody wants the rest.
process.stdout.on('error', (error: NodeJS.ErrnoException) => {
  if (error.code === 'EPIPE') process.exit(0);
});
process.stderr.on('error', () => {});

const code = await run(process.argv.slice(2), {
  get stdin() {
    return processStdin();
  },
  stdout: process.stdout,
  stderr: process.stderr,
  signal: controller.signal,
});
process.exitCode = stoppedBy && code === interrupted ? 128 + constants.signals[stoppedBy] : code;
