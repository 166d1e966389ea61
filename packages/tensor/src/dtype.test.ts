import { describe, expect, test } from 'vitest';
import {
  bytesFor,
  dtypeName,
  hostArray,
  isFloating,
  isPacked,
  sameDType,
  viewBytes,
  type PackedDType,
} from './dtype.ts';

const q4: PackedDType = { name: 'q4', block: 32, bits: 4, scale: 'f16', axis: -1 };

describe('packed dtypes', () => {
  test('take whole blocks of bits and their scales', () => {
    expect(bytesFor(q4, 64)).toBe(2 * (16 + 2));
    expect(bytesFor(q4, 65)).toBe(3 * (16 + 2));
    expect(bytesFor({ ...q4, bits: 8, scale: 'f32' }, 32)).toBe(32 + 4);
    expect(bytesFor(q4, 0)).toBe(0);
  });

  test('are the same when every field is', () => {
    expect(sameDType(q4, { ...q4 })).toBe(true);
    for (const change of [
      { name: 'q5' },
      { block: 16 },
      { bits: 8 as const },
      { scale: 'f32' as const },
      { axis: -2 as const },
    ]) {
      expect(sameDType(q4, { ...q4, ...change })).toBe(false);
    }
    expect(sameDType(q4, 'f16')).toBe(false);
    expect(sameDType('f16', 'f16')).toBe(true);
    expect(sameDType('f16', 'bf16')).toBe(false);
  });

  test('are floating and print their name', () => {
    expect(isPacked(q4)).toBe(true);
    expect(isFloating(q4)).toBe(true);
    expect(dtypeName(q4)).toBe('q4');
    expect(dtypeName({ ...q4, axis: -2 })).toBe('q4-columns');
  });
});

describe('plain dtypes', () => {
  test.each([
    ['f32', 4, true, Float32Array],
    ['f16', 2, true, Uint16Array],
    ['bf16', 2, true, Uint16Array],
    ['i32', 4, false, Int32Array],
    ['u32', 4, false, Uint32Array],
  ] as const)('%s takes %i bytes an element', (dtype, bytes, floating, array) => {
    expect(bytesFor(dtype, 3)).toBe(3 * bytes);
    expect(isFloating(dtype)).toBe(floating);
    expect(hostArray(dtype, 3)).toEqual(new array(3));
    expect(viewBytes(dtype, new Uint8Array(3 * bytes))).toEqual(new array(3));
  });

  test('viewBytes shares memory where it is aligned and copies where it is not', () => {
    const bytes = new Uint8Array(16);
    new DataView(bytes.buffer).setInt32(4, 7, true);
    new DataView(bytes.buffer).setInt32(9, -5, true);
    const aligned = viewBytes('i32', bytes.subarray(4, 8));
    const unaligned = viewBytes('i32', bytes.subarray(9, 13));
    expect(aligned).toEqual(Int32Array.of(7));
    expect(unaligned).toEqual(Int32Array.of(-5));
    expect(aligned.buffer).toBe(bytes.buffer);
    expect(unaligned.buffer).not.toBe(bytes.buffer);
  });
});
