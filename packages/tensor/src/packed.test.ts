import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import type { PackedDType } from './dtype.ts';
import { ShapeError } from './errors.ts';
import { halfValues } from './half.ts';
import {
  canPack,
  pack,
  packedDType,
  packedForm,
  packedPlanes,
  q4,
  q8,
  q8Activations,
  transposedDType,
  unpack,
  unpackLines,
} from './packed.ts';
import { byteLength } from './spec.ts';

const numbers = (count: number): fc.Arbitrary<Float32Array> =>
  fc.float32Array({ minLength: count, maxLength: count, min: -100, max: 100, noNaN: true });

describe('packed formats', () => {
  test('q8 lies as signed bytes, row after row, and then one f16 scale a block', () => {
    const values = Float32Array.from({ length: 64 }, (_, i) => (i < 32 ? i - 31 : 127 - i) / 2);
    const spec = { dtype: q8, shape: [1, 64] };
    const bytes = pack(spec, values);
    expect(bytes.length).toBe(64 + 2 * 2);
    const [quants, scales] = packedPlanes(spec, bytes);
    expect(quants.shape).toEqual([1, 64]);
    expect(scales.shape).toEqual([1, 2]);
    const scale = halfValues('f16')[scales.data[0]!]!;
    expect(scale).toBeCloseTo(15.5 / 127, 4);
    expect(new Int8Array(bytes.buffer)[0]).toBe(-127);
    expect(new Int8Array(bytes.buffer)[31]).toBe(0);
  });

  test('q4 keeps number i in the low half of byte i and number i + 16 in the high half', () => {
    const values = Float32Array.from({ length: 32 }, (_, i) => (i % 16) - 8);
    const bytes = pack({ dtype: q4, shape: [32] }, values);
    expect([...bytes.subarray(0, 16)]).toEqual(Array.from({ length: 16 }, (_, i) => i | (i << 4)));
    expect(halfValues('f16')[new Uint16Array(bytes.buffer)[8]!]).toBe(1);
    expect(unpack({ dtype: q4, shape: [32] }, bytes)).toEqual(values);
  });

  test('columns lie as the rows of the transpose', () => {
    fc.assert(
      fc.property(numbers(32 * 3), fc.constantFrom(q8, q4), (values, dtype) => {
        const columns = { dtype: transposedDType(dtype), shape: [32, 3] };
        const transposed = Float32Array.from(
          values,
          (_, i) => values[(i % 32) * 3 + Math.floor(i / 32)]!,
        );
        const bytes = pack(columns, values);
        expect(bytes).toEqual(pack({ dtype, shape: [3, 32] }, transposed));
        const unpacked = unpack(columns, bytes);
        const line = unpackLines(columns, bytes, 1, 1);
        line.forEach((value, row) => expect(value).toBe(unpacked[row * 3 + 1]));
      }),
    );
  });

  test.each([
    [q8, 0.5 / 127 + 2 ** -11],
    [q4, 1 / 8 + 2 ** -11],
    [q8Activations, 0.5001 / 127],
  ] as const)('%o is off by no more than half a step of the largest number', (dtype, share) => {
    fc.assert(
      fc.property(numbers(64), (values) => {
        const spec = { dtype: dtype as PackedDType, shape: [64] };
        const back = unpack(spec, pack(spec, values));
        for (let block = 0; block < 2; block++) {
          const part = values.subarray(block * 32, block * 32 + 32);
          const largest = Math.max(...part.map(Math.abs));
          part.forEach((value, i) => {
            // Scales below what f16 holds are lost with their blocks.
            expect(Math.abs(back[block * 32 + i]! - value)).toBeLessThanOrEqual(
              largest * share + 127 * 2 ** -24,
            );
          });
        }
      }),
    );
  });

  test('what was packed and unpacked packs to the same numbers', () => {
    fc.assert(
      fc.property(numbers(64), fc.constantFrom(q8, q8Activations), (values, dtype) => {
        const spec = { dtype, shape: [2, 32] };
        const once = unpack(spec, pack(spec, values));
        const twice = unpack(spec, pack(spec, once));
        once.forEach((value, i) => expect(twice[i]).toBeCloseTo(value, 4));
      }),
    );
  });

  test('a block of zeros has scale 0, and one with NaN a scale that is none', () => {
    const spec = { dtype: q8Activations, shape: [64] };
    const values = new Float32Array(64);
    values[40] = NaN;
    const back = unpack(spec, pack(spec, values));
    expect([...back.subarray(0, 32)]).toEqual(Array.from({ length: 32 }, () => 0));
    expect(back.subarray(32).every(Number.isNaN)).toBe(true);
  });

  test('names in files are those of listings', () => {
    expect(packedDType('q8')).toEqual(q8);
    expect(packedDType('q4-columns')).toEqual(transposedDType(q4));
    expect(packedDType('q8-activations')).toBeUndefined();
    expect(packedDType('scales')).toBeUndefined();
  });

  test('lines must be whole blocks, and only a matrix has columns', () => {
    expect(canPack({ dtype: q8, shape: [3, 33] })).toBe(false);
    expect(canPack({ dtype: q8, shape: [] })).toBe(false);
    expect(canPack({ dtype: transposedDType(q8), shape: [2, 32, 32] })).toBe(false);
    expect(() => packedForm({ dtype: q8, shape: [3, 33] })).toThrow(ShapeError);
    expect(() => packedForm({ dtype: q8, shape: [3, 33] })).toThrow(
      'blocks of 32 run along axis -1',
    );
    const form = packedForm({ dtype: transposedDType(q4), shape: [64, 5] });
    expect(form).toEqual({ lines: 5, length: 64, blocks: 2, lineBytes: 32, quantBytes: 160 });
    expect(byteLength({ dtype: q4, shape: [64, 5] })).toBe(160 + 5 * 2 * 2);
  });
});
