import { FormatError } from '@rwkv-js/tensor';
import { describe, expect, test } from 'vitest';
import { zip, type EntryToZip, type ZipOptions } from '../test/zip-writer.ts';
import { bytesSource } from './bytes-source.ts';
import { openZip } from './zip.ts';

const text = (value: string): Uint8Array => new TextEncoder().encode(value);
const two: EntryToZip[] = [
  { name: 'a/one', bytes: text('first') },
  { name: 'a/two', bytes: text('second one') },
];

async function contents(file: Uint8Array): Promise<Record<string, string>> {
  const source = bytesSource(file);
  const archive = await openZip(source, {});
  const found: Record<string, string> = {};
  for (const entry of archive.entries.values()) {
    const at = await archive.contentOffset(entry, {});
    found[entry.name] = new TextDecoder().decode(await source.read(at, entry.size));
  }
  return found;
}

describe('openZip', () => {
  test.each<ZipOptions>([
    { zip64: 'beside' },
    { zip64: 'only' },
    { zip64: 'none' },
    { comment: 'a comment with PK\x05\x06 in it, long enough for a second end record' },
  ])('reads stored entries of an archive with %o', async (options) => {
    expect(await contents(zip(two, options))).toEqual({ 'a/one': 'first', 'a/two': 'second one' });
  });

  test('contents lie at multiples of 64, as the writer aligned them', async () => {
    const archive = await openZip(bytesSource(zip(two)), {});
    for (const entry of archive.entries.values()) {
      expect((await archive.contentOffset(entry, {})) % 64).toBe(0);
    }
  });

  test.each([
    ['deflate', { method: 8 }, /compressed with deflate/],
    ['another compression', { method: 14 }, /method 14/],
    ['encryption', { flags: 1 }, /encrypted/],
    ['a size that reaches into the directory', { size: 5000 }, /past the end of the contents/],
  ])('refuses %s', async (_, change, message) => {
    const reading = contents(zip([{ ...two[0], ...change }]));
    await expect(reading).rejects.toThrow(FormatError);
    await expect(reading).rejects.toThrow(message);
  });

  test('refuses two entries of one name', async () => {
    await expect(contents(zip([two[0], two[0]]))).rejects.toThrow(/two entries "a\/one"/);
  });

  test('says that an archive is cut short wherever it is cut', async () => {
    const file = zip(two);
    for (let length = 1; length < file.length; length += 7) {
      await expect(contents(file.subarray(0, length))).rejects.toThrow(/cut short/);
    }
  });
});
