import { FormatError } from '@rwkv-js/tensor';
import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { openWeights } from '../src/index.ts';
import { fixtureFiles, quantisedFiles } from './fixtures.ts';

/** Blocks of 2 bits become numbers of 32, and their scales take little. */
const mostNumbersOfAByte = (4 * 256) / 84;

/** Opens and reads everything; an error must be a FormatError, and tensors no longer than the file allows. */
async function opensOrRefuses(file: Uint8Array): Promise<void> {
  try {
    const weights = await openWeights(file);
    for (const [name, { blocks }] of weights.tensors) {
      const most = file.length * (blocks ? mostNumbersOfAByte : 1);
      expect((await weights.read(name)).length).toBeLessThanOrEqual(most);
    }
    for (const list of weights.lists.values()) expect(list.length).toBeLessThanOrEqual(file.length);
    await weights.close();
  } catch (error) {
    if (!(error instanceof FormatError)) throw error;
    expect(error.message).toMatch(/^(Reading|Opening) .*\.$/s);
  }
}

/** Bytes that sizes, lengths and opcodes are made of. */
const interesting = fc.constantFrom(
  [0],
  [0xff],
  [0x7f],
  [0x80],
  [0xff, 0xff, 0xff, 0xff],
  [0xff, 0xff, 0xff, 0x7f],
  [0, 0, 0, 0x80],
  [0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0x7f],
  [0, 0, 0, 0, 0, 0, 0x10, 0],
  [...'9999999999999999'].map((c) => c.charCodeAt(0)),
  [...'}{][",:-e'].map((c) => c.charCodeAt(0)),
  [...'(.0125hjqrtuseabQRc'].map((c) => c.charCodeAt(0)),
);

interface Mutation {
  /** Where, as a part of the length. */
  readonly at: number;
  readonly kind: 'flip' | 'overwrite' | 'insert' | 'remove';
  readonly bit: number;
  readonly bytes: readonly number[];
}

const mutation: fc.Arbitrary<Mutation> = fc.record({
  at: fc.double({ min: 0, max: 1, maxExcluded: true, noNaN: true }),
  kind: fc.constantFrom('flip', 'overwrite', 'insert', 'remove'),
  bit: fc.nat({ max: 7 }),
  bytes: interesting,
});

function mutate(file: Uint8Array, mutations: readonly Mutation[]): Uint8Array {
  const bytes = Array.from(file);
  for (const { at, kind, bit, bytes: inserted } of mutations) {
    const index = Math.floor(at * bytes.length);
    if (kind === 'flip') bytes[index] ^= 1 << bit;
    else if (kind === 'overwrite') bytes.splice(index, inserted.length, ...inserted);
    else if (kind === 'insert') bytes.splice(index, 0, ...inserted);
    else bytes.splice(index, inserted.length);
  }
  return Uint8Array.from(bytes);
}

describe.each([...fixtureFiles(), ...quantisedFiles()])('%s', (_, file) => {
  test('cut anywhere is refused or read', async () => {
    for (let length = 0; length < file.length; length++) {
      await opensOrRefuses(file.subarray(0, length));
    }
  });

  test('changed in a few places is refused or read', async () => {
    const before = Object.getOwnPropertyNames(Object.prototype);
    const some = fc.array(mutation, { minLength: 1, maxLength: 4 });
    await fc.assert(
      fc.asyncProperty(some, (mutations) => opensOrRefuses(mutate(file, mutations))),
      { seed: 2024, numRuns: 2000 },
    );
    expect(Object.getOwnPropertyNames(Object.prototype)).toEqual(before);
  });
});
