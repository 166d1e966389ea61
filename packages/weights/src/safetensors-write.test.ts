import { UsageError, viewBytes } from '@rwkv-js/tensor';
import fc from 'fast-check';
import { mkdtemp, readdir, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { openWeights } from './open-weights.ts';
import { encodeSafetensors, writeSafetensors } from './safetensors-write.ts';

let folder = '';
let path = '';
beforeEach(async () => {
  folder = await mkdtemp(join(tmpdir(), 'rwkv-weights-'));
  path = join(folder, 'out.safetensors');
});
afterEach(() => rm(folder, { recursive: true }));

const announced = [
  { name: 'tokens', dtype: 'i32', shape: [2] },
  { name: 'logits', dtype: 'f32', shape: [2, 3] },
  { name: 'half', dtype: 'bf16', shape: [1] },
] as const;

describe('encodeSafetensors', () => {
  test('orders by element size, then name, and pads the header with spaces to eight bytes', () => {
    const file = encodeSafetensors([
      { name: 'b', dtype: 'f16', shape: [1], data: Uint16Array.of(1) },
      { name: 'z', dtype: 'f32', shape: [], data: Float32Array.of(2) },
      { name: 'a', dtype: 'i32', shape: [1], data: Int32Array.of(3) },
    ]);
    const length = Number(new DataView(file.buffer).getBigUint64(0, true));
    expect(length % 8).toBe(0);
    expect(new TextDecoder().decode(file.subarray(8, 8 + length)).trimEnd()).toBe(
      '{"a":{"dtype":"I32","shape":[1],"data_offsets":[0,4]},' +
        '"z":{"dtype":"F32","shape":[],"data_offsets":[4,8]},' +
        '"b":{"dtype":"F16","shape":[1],"data_offsets":[8,10]}}',
    );
  });

  test('what it writes reads back the same, whatever the names and shapes', async () => {
    const tensor = fc.record({
      name: fc.string({ unit: 'grapheme', minLength: 1 }).filter((name) => name !== '__metadata__'),
      shape: fc.array(fc.integer({ min: 0, max: 4 }), { maxLength: 3 }),
      dtype: fc.constantFrom('f32', 'f16', 'bf16', 'i32', 'u32'),
    });
    await fc.assert(
      fc.asyncProperty(
        fc.uniqueArray(tensor, { selector: ({ name }) => name, maxLength: 6 }),
        fc.dictionary(fc.string(), fc.string()),
        async (tensors, metadata) => {
          const withData = tensors.map(({ name, shape, dtype }, t) => {
            const count = shape.reduce((product, size) => product * size, 1);
            const bytes = count * (dtype === 'f16' || dtype === 'bf16' ? 2 : 4);
            // A name before it keeps prefixes from being taken off.
            const data = Uint8Array.from({ length: bytes }, (_, i) => i * 31 + t);
            return { name: `x${name}`, shape, dtype, data };
          });
          const file = encodeSafetensors(withData, new Map(Object.entries(metadata)));
          const weights = await openWeights(file);
          expect(weights.metadata).toEqual(new Map(Object.entries(metadata)));
          expect(weights.tensors.size).toBe(withData.length);
          for (const { name, shape, dtype, data } of withData) {
            expect(weights.tensors.get(name)).toEqual({ dtype, shape });
            expect(await weights.read(name)).toEqual(data);
          }
        },
      ),
      { seed: 41, numRuns: 100 },
    );
  });

  test.each([
    ['two tensors of one name', ['a', 'a'], [1], /two tensors are named "a"/],
    ['the reserved name', ['__metadata__'], [1], /__metadata__/],
    ['half a size', ['a'], [0.5], /0\.5/],
    ['a negative size', ['a'], [-1], /-1/],
    ['data of another length', ['a'], [2], /takes 8 bytes, and 4 were given/],
  ])('refuses %s', (_, names, shape, message) => {
    const tensors = names.map((name) => ({
      name,
      shape,
      dtype: 'f32' as const,
      data: Float32Array.of(1),
    }));
    expect(() => encodeSafetensors(tensors)).toThrow(UsageError);
    expect(() => encodeSafetensors(tensors)).toThrow(message);
  });
});

describe('writeSafetensors', () => {
  test('takes tensors in turns and in chunks, and shows the file only when it is whole', async () => {
    const writer = await writeSafetensors(path, announced, { metadata: new Map([['a', 'b']]) });
    await writer.write('half', Uint16Array.of(0x3f80));
    await writer.write('logits', Float32Array.of(1, 2, 3));
    await writer.write('tokens', Int32Array.of(7, 8));
    await writer.write('logits', Float32Array.of(4, 5).subarray(0));
    await writer.write('logits', Float32Array.of(0, 6).subarray(1));
    expect(await readdir(folder)).not.toContain('out.safetensors');
    await writer.close();
    expect(await readdir(folder)).toEqual(['out.safetensors']);
    const weights = await openWeights(path);
    expect(viewBytes('i32', await weights.read('tokens'))).toEqual(Int32Array.of(7, 8));
    expect(viewBytes('f32', await weights.read('logits'))).toEqual(
      Float32Array.of(1, 2, 3, 4, 5, 6),
    );
    expect(weights.metadata.get('a')).toBe('b');
    await weights.close();
  });

  test('writes the bytes that encodeSafetensors gives', async () => {
    const data = {
      tokens: Int32Array.of(1, 2),
      logits: new Float32Array(6),
      half: Uint16Array.of(3),
    };
    const writer = await writeSafetensors(path, announced);
    for (const [name, values] of Object.entries(data)) await writer.write(name, values);
    await writer.close();
    const whole = encodeSafetensors(announced.map((t) => ({ ...t, data: data[t.name] })));
    expect(Buffer.compare(await readFile(path), whole)).toBe(0);
  });

  test('abort leaves nothing, not even twice or after a close', async () => {
    const writer = await writeSafetensors(path, announced);
    await writer.abort();
    await writer.abort();
    expect(await readdir(folder)).toEqual([]);
    await expect(writer.write('half', Uint16Array.of(1))).rejects.toThrow(/aborted/);
    await expect(writer.close()).rejects.toThrow(UsageError);
  });

  test('an incomplete tensor drops the file and keeps the one that was there', async () => {
    await writeFile(path, 'old');
    const writer = await writeSafetensors(path, announced);
    await writer.write('logits', Float32Array.of(1));
    await expect(writer.close()).rejects.toThrow(/"logits" takes 24 bytes, and 4 were given/);
    expect(await readdir(folder)).toEqual(['out.safetensors']);
    expect(await readFile(path, 'utf8')).toBe('old');
  });

  test('leaving its block without a close drops the file', async () => {
    {
      await using writer = await writeSafetensors(path, announced);
      await writer.write('half', Uint16Array.of(1));
    }
    expect(await readdir(folder)).toEqual([]);
  });

  test('refuses unknown names and bytes beyond the end of a tensor', async () => {
    await using writer = await writeSafetensors(path, announced);
    await expect(writer.write('logit', new Float32Array(1))).rejects.toThrow(/near are "logits"/);
    await expect(writer.write('half', new Uint16Array(2))).rejects.toThrow(/4 were given/);
  });

  test('a chunk that the sink does not take fails the close too, and drops the file', async () => {
    const done: string[] = [];
    const writer = await writeSafetensors(
      {
        async write(position) {
          if (position > 0) throw new Error('disk full');
        },
        async close() {
          done.push('close');
        },
        async abort() {
          done.push('abort');
        },
      },
      [announced[2]],
    );
    await expect(writer.write('half', Uint16Array.of(1))).rejects.toThrow('disk full');
    await expect(writer.close()).rejects.toThrow('disk full');
    expect(done).toEqual(['abort']);
  });

  test('an aborted signal stops it', async () => {
    const controller = new AbortController();
    await using writer = await writeSafetensors(path, announced, { signal: controller.signal });
    controller.abort();
    await expect(writer.write('half', new Uint16Array(1))).rejects.toThrow(
      expect.objectContaining({ name: 'AbortError' }),
    );
  });

  test('a path that cannot be written is a UsageError that names it', async () => {
    const nowhere = join(folder, 'no', 'such', 'folder.safetensors');
    await expect(writeSafetensors(nowhere, announced)).rejects.toThrow(UsageError);
    await expect(writeSafetensors(nowhere, announced)).rejects.toThrow(nowhere);
  });
});
