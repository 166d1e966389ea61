import { FormatError, UsageError } from '@rwkv-js/tensor';
import { expect, test } from 'vitest';
import { blobSource } from './blob-source.ts';

const bytes = Uint8Array.from({ length: 20 }, (_, i) => i);

test('reads slices of a blob, and calls a file by its name', async () => {
  const source = blobSource(new File([bytes], 'model.pth'));
  expect(source.label).toBe('model.pth');
  expect(await source.read(5, 3)).toEqual(Uint8Array.of(5, 6, 7));
  await expect(source.read(15, 6)).rejects.toThrow(FormatError);
  await source.close();
  await expect(source.read(0, 1)).rejects.toThrow(UsageError);
});

test('a file that can no longer be read is a FormatError', async () => {
  const blob = new Blob([bytes]);
  blob.slice = () => {
    const part = new Blob();
    part.arrayBuffer = () => Promise.reject(new Error('NotReadableError'));
    return part;
  };
  await expect(blobSource(blob).read(0, 4)).rejects.toThrow(/can no longer be read/);
  blob.slice = () => new Blob([bytes.subarray(0, 2)]);
  await expect(blobSource(blob).read(0, 4)).rejects.toThrow(
    /4 bytes at 0 were asked for and 2 came/,
  );
});
