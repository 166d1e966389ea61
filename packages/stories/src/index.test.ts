import { readFile, stat } from 'node:fs/promises';
import { expect, test } from 'vitest';
import { stories } from './index.ts';

test('the files of the embedded model are where it says, whole', async () => {
  const { size } = await stat(stories.weights);
  const weights = await readFile(stories.weights);
  const headerLength = Number(weights.readBigUInt64LE(0));
  const header = JSON.parse(weights.subarray(8, 8 + headerLength).toString()) as Record<
    string,
    { readonly data_offsets?: readonly [number, number] }
  >;
  const ends = Object.values(header).map(({ data_offsets: offsets }) => offsets?.[1] ?? 0);
  expect(8 + headerLength + Math.max(...ends)).toBe(size);

  const lines = (await readFile(stories.vocabulary, 'utf8')).trim().split('\n');
  expect(lines).toHaveLength(2047);
  expect(lines.at(-1)).toMatch(/^2047 /);
});
