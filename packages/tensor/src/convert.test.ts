import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { convert, firstNotFinite, fitsDType, setElements } from './convert.ts';
import type { HostArray, PlainDType } from './dtype.ts';
import { UsageError } from './errors.ts';
import { toBf16Bits, toF16Bits } from './half.ts';

describe('convert', () => {
  const numbers = [0, 1.5, -2.25, 65504, 2 ** -24];

  test('the same dtype is the same array', () => {
    const data = Int32Array.of(1);
    expect(convert(data, 'i32', 'i32')).toBe(data);
  });

  test('numbers that every dtype has survive each conversion and the way back', () => {
    const simple = Float32Array.of(0, 1.5, -2.25, 128, -0.0078125);
    for (const dtype of ['f16', 'bf16'] as const) {
      const narrow = convert(simple, 'f32', dtype);
      expect(narrow).toBeInstanceOf(Uint16Array);
      expect(convert(narrow, dtype, 'f32')).toEqual(simple);
      const other = dtype === 'f16' ? 'bf16' : 'f16';
      expect(convert(convert(narrow, dtype, other), other, 'f32')).toEqual(simple);
    }
  });

  test('narrowing rounds to the nearest', () => {
    expect(convert(Float32Array.from(numbers), 'f32', 'f16')).toEqual(
      Uint16Array.from(numbers, toF16Bits),
    );
    expect(convert(Float64Array.from(numbers), 'f32', 'bf16')).toEqual(
      Uint16Array.from(numbers, toBf16Bits),
    );
  });

  test.each([
    ['i32', 'f32', Int32Array],
    ['u32', 'i32', Uint32Array],
    ['f32', 'i32', Float32Array],
    ['f16', 'u32', Uint16Array],
  ] as const)('refuses %s to %s', (from, to, array) => {
    expect(() => convert(new array(1), from, to)).toThrow(UsageError);
    expect(() => convert(new array(1), from, to)).toThrow(`${from} elements cannot become ${to}`);
  });
});

describe('setElements', () => {
  test('rounds numbers to the dtype and takes bits as they are', () => {
    const target = new Uint16Array(4);
    setElements(target, 'f16', [1, -2], 1);
    expect(target).toEqual(Uint16Array.of(0, 0x3c00, 0xc000, 0));
    setElements(target, 'bf16', Float32Array.of(1));
    setElements(target, 'bf16', Float64Array.of(-1), 1);
    setElements(target, 'bf16', Uint16Array.of(7), 2);
    expect(target).toEqual(Uint16Array.of(0x3f80, 0xbf80, 7, 0));
    const integers = new Int32Array(2);
    setElements(integers, 'i32', [-1, 3]);
    expect(integers).toEqual(Int32Array.of(-1, 3));
  });

  test('takes each typed array for its own dtype only', () => {
    const arrays: HostArray[] = [
      new Float32Array(1),
      new Float64Array(1),
      new Uint16Array(1),
      new Int32Array(1),
      new Uint32Array(1),
    ];
    const fitting = (dtype: PlainDType): string[] =>
      arrays.filter((array) => fitsDType(array, dtype)).map((array) => array.constructor.name);
    expect(fitting('f32')).toEqual(['Float32Array', 'Float64Array']);
    expect(fitting('f16')).toEqual(['Float32Array', 'Float64Array', 'Uint16Array']);
    expect(fitting('bf16')).toEqual(['Float32Array', 'Float64Array', 'Uint16Array']);
    expect(fitting('i32')).toEqual(['Int32Array']);
    expect(fitting('u32')).toEqual(['Uint32Array']);
    const mistake = (): void => setElements(new Float32Array(1), 'f32', new Int32Array(1));
    expect(mistake).toThrow(UsageError);
    expect(mistake).toThrow('Int32Array elements were given for f32');
  });
});

describe('firstNotFinite', () => {
  test('finds NaN and the infinities among floats of every width', () => {
    for (const bad of [NaN, Infinity, -Infinity]) {
      const numbers = [1, -65504, bad, bad];
      expect(firstNotFinite(Float32Array.from(numbers), 'f32')).toBe(2);
      expect(firstNotFinite(Uint16Array.from(numbers, toF16Bits), 'f16')).toBe(2);
      expect(firstNotFinite(Uint16Array.from(numbers, toBf16Bits), 'bf16')).toBe(2);
    }
  });

  test('finds the first of 16-bit floats wherever it stands', () => {
    const bits16 = fc.integer({ min: 0, max: 0xffff });
    fc.assert(
      fc.property(
        fc.constantFrom('f16', 'bf16'),
        fc.array(fc.oneof(bits16, fc.constantFrom(0x7c00, 0xff80)), { maxLength: 9 }),
        fc.nat(1),
        (dtype, bits, offset) => {
          const data = Uint16Array.from([0, ...bits]).subarray(offset);
          const exponent = dtype === 'f16' ? 0x7c00 : 0x7f80;
          const first = data.findIndex((element) => (element & exponent) === exponent);
          expect(firstNotFinite(data, dtype)).toBe(first);
        },
      ),
      {
        seed: 5,
        numRuns: 2000,
        examples: [
          ['f16', [0x7bff, 0xfc00], 1],
          ['bf16', [0xff7f, 0xffff, 1], 0],
        ],
      },
    );
  });

  test('gives −1 where all are finite, and for integers', () => {
    expect(firstNotFinite(Float32Array.of(3.4e38, -0), 'f32')).toBe(-1);
    expect(firstNotFinite(Uint16Array.of(0x7bff, 0xfbff), 'f16')).toBe(-1);
    expect(firstNotFinite(Uint16Array.of(0x7f7f, 0xff7f), 'bf16')).toBe(-1);
    expect(firstNotFinite(Int32Array.of(0x7f800000), 'i32')).toBe(-1);
  });
});
