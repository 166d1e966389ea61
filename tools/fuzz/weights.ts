import fc from 'fast-check';
import { existsSync, readdirSync, statSync } from 'node:fs';
import { FormatError, UsageError } from '@rwkv-js/tensor';
import { readShared, sharedPath } from '@rwkv-js/testing';
import { openWeights, type OpenedWeights } from '@rwkv-js/weights';
import {
  fixtureFiles,
  quantisedFiles,
  shardedFiles,
} from '../../packages/weights/test/fixtures.ts';
import type { FuzzCommand, Fuzzer } from './fuzzer.ts';
import { mutate } from './mutate.ts';
import { Random } from './random.ts';
import { makers } from './weights-made.ts';

/** Longer files of the reference data are left out: all formats are among the short ones. */
const longestFile = 256 * 1024;

/** Memory that a case may take beyond what the numbers of its file take. */
const mostMemory = 64 * 1024 * 1024;

/** Blocks of 2 bits become f32, and a number is held as blocks, as f32, and as a copy of them. */
const mostBytesOfAByte = 40;

/** One sentence that says what was being done to what. */
const message = /^(Reading|Opening) [^\n]*\.$/;

/** Processor time that a case may take. */
const mostSeconds = 1;

/**
 * Opens changed and strange weight files of every format: each is read whole or refused with a
 * FormatError or UsageError of one sentence, in bounded time and memory, and nothing global changes.
 */
export const weights: FuzzCommand = {
  name: 'weights',
  summary: 'broken weight files of every format are read whole or refused in a sentence, soon',
  unit: 'files read whole',
  open: () => openWeightsFuzzer(mostSeconds),
};

/** The fuzzer with another limit of the processor time that a case may take. */
export function openWeightsFuzzer(seconds: number): Fuzzer {
  const files = seedFiles();
  const shards = [...shardedFiles()];
  const known = Object.getOwnPropertyNames(Object.prototype).join();
  const hold = async (seed: number): Promise<boolean> => {
    const random = new Random(seed);
    const input = caseOf(random, files, shards);
    const size = input instanceof Uint8Array ? input.length : 4096;
    const memory = heldBytes();
    const time = process.cpuUsage();
    const whole = await openAndRead(input);
    const { user, system } = process.cpuUsage(time);
    const taken = heldBytes() - memory;
    if (taken > mostMemory + mostBytesOfAByte * size) {
      throw new Error(`it took ${taken} bytes for a file of ${size}`);
    }
    if ((user + system) / 1e6 > seconds) {
      throw new Error(`it took ${(user + system) / 1e6} s for a file of ${size} bytes`);
    }
    if (Object.getOwnPropertyNames(Object.prototype).join() !== known) {
      throw new Error('Object.prototype has changed');
    }
    return whole;
  };
  // A smaller seed is no smaller case, and those near 0 are no more likely to fail.
  const seeds = fc.noBias(fc.noShrink(fc.nat()));
  return {
    property: (held) =>
      fc.asyncProperty(seeds, async (seed) => {
        held((await hold(seed)) ? 1 : 0);
      }),
    [Symbol.asyncDispose]: async () => {},
  };
}

/** Good and broken files to begin from: made ones, and those of the reference data where there are any. */
function seedFiles(): readonly Uint8Array[] {
  const made = [...fixtureFiles().values(), ...quantisedFiles().values()];
  const golden = sharedPath('golden');
  if (!existsSync(golden)) return made;
  const names = readdirSync(golden, { recursive: true, encoding: 'utf8' }).sort();
  const shared = names
    .filter((name) => /\.(pth|st|safetensors|gguf|bin)$/.test(name))
    .filter((name) => statSync(sharedPath(`golden/${name}`)).size <= longestFile);
  return [...made, ...shared.map((name) => readShared(`golden/${name}`))];
}

function caseOf(
  random: Random,
  files: readonly Uint8Array[],
  shards: readonly (readonly [string, Uint8Array])[],
): Uint8Array | File[] {
  const kind = random.unit();
  if (kind < 0.15) {
    const made = random.pick(makers)(random);
    return random.chance(0.3) ? mutate(random, made, random.pick(files)) : made;
  }
  if (kind < 0.25) {
    const changed = random.below(shards.length);
    return shards.map(([name, bytes], i) => {
      const content = i === changed ? mutate(random, bytes, random.pick(files)) : bytes;
      return new File([new Uint8Array(content)], name);
    });
  }
  return mutate(random, random.pick(files), random.pick(files));
}

/** Whether a file could be read; what should not have become of it is thrown. */
async function openAndRead(input: Uint8Array | File[]): Promise<boolean> {
  try {
    const opened = await openWeights(input);
    try {
      await readAll(opened);
    } finally {
      await opened.close();
    }
    return true;
  } catch (error) {
    if (!(error instanceof FormatError || error instanceof UsageError)) throw error;
    if (message.test(error.message)) return false;
    throw new Error(`its error is no sentence of ours: ${error.message}`, { cause: error });
  }
}

async function readAll(opened: OpenedWeights): Promise<void> {
  for (const [name, { blocks }] of opened.tensors) {
    await opened.read(name);
    if (blocks) await opened.readBlocks(name);
  }
  for (const list of opened.lists.values()) {
    if (list.elementType !== 'list') await list.read();
  }
  await opened.vocabulary?.();
}

const heldBytes = (): number => {
  const { heapUsed, arrayBuffers } = process.memoryUsage();
  return heapUsed + arrayBuffers;
};
