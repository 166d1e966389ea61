import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { Readable, Writable } from 'node:stream';
import { specificationWeights, type SpecificationModel } from '@rwkv-js/testing';
import { encodeSafetensors, openWeights, type WeightSource } from 'rwkv-js';
import { onTestFinished } from 'vitest';
import { run } from '../src/run.ts';

/** What a command did. */
export interface Outcome {
  readonly code: number;
  readonly stdout: string;
  /** Standard output as bytes. */
  readonly bytes: Buffer;
  readonly stderr: string;
}

/**
 * Runs a command line in this process.
 *
 * @param how what comes in, and who is told of each piece that goes out
 */
export async function command(
  args: readonly string[],
  how: {
    readonly stdin?: string | Uint8Array;
    readonly signal?: AbortSignal;
    readonly written?: (text: string) => void;
  } = {},
): Promise<Outcome> {
  const stdout = new Collector(how.written);
  const stderr = new Collector();
  const code = await run(args, {
    stdin: Readable.from([Buffer.from(how.stdin ?? '')]),
    stdout,
    stderr,
    signal: how.signal ?? new AbortController().signal,
  });
  return { code, stdout: `${stdout.bytes}`, bytes: stdout.bytes, stderr: `${stderr.bytes}` };
}

class Collector extends Writable {
  bytes: Buffer = Buffer.alloc(0);
  readonly #written: ((text: string) => void) | undefined;

  constructor(written?: (text: string) => void) {
    super();
    this.#written = written;
  }

  override _write(chunk: Buffer, _: BufferEncoding, done: () => void): void {
    this.bytes = Buffer.concat([this.bytes, chunk]);
    this.#written?.(chunk.toString());
    done();
  }
}

/** A folder that goes away with the test. */
export async function temporaryFolder(): Promise<string> {
  const folder = await mkdtemp(join(tmpdir(), 'rwkv-cli-'));
  onTestFinished(() => rm(folder, { recursive: true, force: true }));
  return folder;
}

type TensorWithData = Parameters<typeof encodeSafetensors>[0][number];

/** One of the specification's models as a file: 2 layers, width 16, 12 tokens; changed, to break it. */
export async function specificationFile(
  version: SpecificationModel['version'],
  change: (tensor: TensorWithData) => TensorWithData = (tensor) => tensor,
): Promise<string> {
  const path = join(await temporaryFolder(), 'model.safetensors');
  const source = specificationWeights(version);
  const tensors = await Promise.all(
    Array.from(source.tensors, async ([name, { dtype, shape }]) => {
      return change({ name, dtype, shape, data: await source.read(name) });
    }),
  );
  await writeFile(path, encodeSafetensors(tensors));
  return path;
}

/** A vocabulary of 12 ids for those models: 0, and the letters a to k. */
export async function smallVocabulary(): Promise<string> {
  const path = join(await temporaryFolder(), 'vocab.txt');
  const lines = Array.from('abcdefghijk', (letter, at) => `${at + 1} '${letter}' 1\n`);
  await writeFile(path, lines.join(''));
  return path;
}

/** The f32 and i32 tensors of a file, by name. */
export async function readTensors(path: string): Promise<ReadonlyMap<string, ArrayLike<number>>> {
  const source = await openWeights(path);
  try {
    const entries = Array.from(source.tensors.keys(), async (name) => {
      return [name, await elements(source, name)] as const;
    });
    return new Map(await Promise.all(entries));
  } finally {
    await source.close();
  }
}

async function elements(source: WeightSource, name: string): Promise<ArrayLike<number>> {
  const bytes = await source.read(name);
  const { buffer } = bytes.slice();
  return source.tensors.get(name)!.dtype === 'i32'
    ? new Int32Array(buffer)
    : new Float32Array(buffer);
}
