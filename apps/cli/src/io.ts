import { fstatSync } from 'node:fs';
import { addAbortSignal, type Readable } from 'node:stream';
import { UsageError } from 'rwkv-js';

/** What a command may touch of the process that runs it. Tests give it streams of their own. */
export interface Io {
  readonly stdin: Readable;
  readonly stdout: Output;
  readonly stderr: Output;
  /** Aborted by Ctrl-C. */
  readonly signal: AbortSignal;
}

/** A stream to write to, perhaps a terminal. */
export type Output = NodeJS.WritableStream & { readonly isTTY?: boolean | undefined };

/** Writes and waits until it is written, so that a slow reader slows the command down. */
export function print(output: Output, data: string | Uint8Array): Promise<void> {
  return new Promise((resolve, reject) => {
    output.write(data, (error) => {
      if (!error) resolve();
      else reject(new UsageError(`writing the output: ${reasonOf(error)}`, { cause: error }));
    });
  });
}

/** The process's standard input. Node takes a folder there for an empty file; a command should not. */
export function processStdin(): Readable {
  if (!fstatSync(0).isDirectory()) return process.stdin;
  throw new UsageError('reading standard input: it is a folder; give a file');
}

/** All of standard input. */
export async function readStdin({ stdin, signal }: Io): Promise<Uint8Array> {
  const chunks: Buffer[] = [];
  try {
    for await (const chunk of addAbortSignal(signal, stdin)) chunks.push(Buffer.from(chunk));
  } catch (error) {
    signal.throwIfAborted();
    throw new UsageError(`reading standard input: ${reasonOf(error)}`, { cause: error });
  }
  return Buffer.concat(chunks);
}

/** What the system says went wrong, in words where they are known. */
export function reasonOf(error: unknown): string {
  const code = error instanceof Error && 'code' in error ? String(error.code) : '';
  return reasons[code] ?? (code || String(error));
}

const reasons: Readonly<Record<string, string>> = {
  EACCES: 'this user may not do that',
  EISDIR: 'it is a folder; give a file',
  ENOENT: 'there is no such file; check the path',
  ENOSPC: 'the disk is full',
  ENOTDIR: 'there is no such file; check the path',
  ERR_FS_FILE_TOO_LARGE: 'it has more than 2 GiB',
};
