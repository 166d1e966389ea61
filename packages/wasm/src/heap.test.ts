import fc from 'fast-check';
import { expect, test } from 'vitest';
import { firstAddress, pageBytes } from './control.ts';
import { alignment, Heap } from './heap.ts';

test('regions that are taken never overlap, are new only once, and all come back', () => {
  const step = fc.record({ bytes: fc.integer({ min: 0, max: 5000 }), give: fc.nat(20) });
  fc.assert(
    fc.property(fc.array(step, { maxLength: 120 }), (steps) => {
      const heap = new Heap();
      const taken: { address: number; bytes: number }[] = [];
      let highest = firstAddress;
      for (const { bytes, give } of steps) {
        const { address, isNew } = heap.take(bytes)!;
        const end = address + Math.max(bytes, 1);
        expect(address % alignment).toBe(0);
        expect(taken.every((one) => end <= one.address || one.address + one.bytes <= address)).toBe(
          true,
        );
        expect(isNew).toBe(address >= highest);
        highest = Math.max(highest, Math.ceil(end / alignment) * alignment);
        taken.push({ address, bytes });
        if (give < taken.length) {
          const [one] = taken.splice(give, 1);
          heap.give(one!.address, one!.bytes);
        }
      }
      for (const { address, bytes } of taken) heap.give(address, bytes);
      expect(heap.taken).toBe(0);
      expect(heap.pages * pageBytes).toBe(firstAddress);
    }),
  );
});

test('what does not fit into 32-bit addresses is not given, and what fits still is', () => {
  const heap = new Heap();
  expect(heap.take(2 ** 32)).toBeUndefined();
  expect(heap.take(3 * 2 ** 30)!.address).toBe(firstAddress);
  expect(heap.take(2 ** 30)).toBeUndefined();
  expect(heap.take(2 ** 29)!.address).toBeGreaterThanOrEqual(firstAddress + 3 * 2 ** 30);
});
