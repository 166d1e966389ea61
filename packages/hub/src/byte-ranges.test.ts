import fc from 'fast-check';
import { expect, test } from 'vitest';
import { ByteRanges } from './byte-ranges.ts';

const size = 40;
const range = fc.tuple(fc.nat(size), fc.nat(size)).map(([a, b]) => ({
  start: Math.min(a, b),
  end: Math.max(a, b),
}));
const step = fc.record({ kind: fc.constantFrom('add', 'delete'), range });

test('ranges are what a set of single bytes would be', () => {
  fc.assert(
    fc.property(fc.array(step, { maxLength: 12 }), range, (steps, asked) => {
      const ranges = new ByteRanges();
      const bytes = new Set<number>();
      for (const {
        kind,
        range: { start, end },
      } of steps) {
        ranges[kind as 'add' | 'delete'](start, end);
        for (let at = start; at < end; at++) bytes[kind as 'add' | 'delete'](at);
      }
      expect(ranges.total).toBe(bytes.size);
      const inside = [...ranges].flatMap(({ start, end }) =>
        Array.from({ length: end - start }, (_, i) => start + i),
      );
      expect(inside).toEqual([...bytes].sort((a, b) => a - b));
      const list = [...ranges];
      for (const [i, one] of list.entries()) {
        if (i > 0) expect(one.start).toBeGreaterThan(list[i - 1]!.end);
      }
      const missing = Array.from({ length: size }, (_, i) => i).filter(
        (at) => at >= asked.start && at < asked.end && !bytes.has(at),
      );
      expect(ranges.covers(asked.start, asked.end)).toBe(missing.length === 0);
      const gap = ranges.firstGap(asked.start, asked.end);
      expect(gap?.start).toBe(missing[0]);
      if (gap) {
        for (let at = gap.start; at < gap.end; at++) expect(bytes.has(at)).toBe(false);
        expect(gap.end === asked.end || bytes.has(gap.end)).toBe(true);
      }
    }),
  );
});

test('ranges can be made from those of another', () => {
  const ranges = new ByteRanges([
    { start: 5, end: 9 },
    { start: 0, end: 5 },
  ]);
  expect([...ranges]).toEqual([{ start: 0, end: 9 }]);
});
