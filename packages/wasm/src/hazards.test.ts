import { expect, test } from 'vitest';
import { Hazards } from './hazards.ts';

const read = (start: number) => ({ start, byteLength: 8, access: 'read' as const });
const write = (start: number) => ({ start, byteLength: 8, access: 'write' as const });

test('workers wait before what reads or writes over what was written, and before writing what was read', () => {
  const hazards = new Hazards();
  const need = (...ranges: Parameters<Hazards['needBarrier']>[0]): boolean =>
    hazards.needBarrier(ranges, false);
  expect(need(read(0), write(8))).toBe(false);
  expect(need(read(0), write(16))).toBe(false);
  expect(need(read(12), write(24))).toBe(true); // reads the second half of what was written at 8
  expect(need(read(8))).toBe(false); // which all have finished by now
  expect(need(write(12))).toBe(true); // was read since
  expect(need(write(16))).toBe(true); // was written since
  expect(need({ ...write(100), access: 'readwrite' })).toBe(false);
});

test('two calls that use the shared working memory do not go on side by side', () => {
  const hazards = new Hazards();
  expect([true, false, true].map((shares, i) => hazards.needBarrier([read(i)], shares))).toEqual([
    false,
    false,
    true,
  ]);
});
