import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { halfValues, toBf16Bits, toF16Bits } from './half.ts';

const formats = [
  { dtype: 'f16', toBits: toF16Bits, exponentBits: 5, fractionBits: 10 },
  { dtype: 'bf16', toBits: toBf16Bits, exponentBits: 8, fractionBits: 7 },
] as const;

/** The value of a 16-bit float from the fields that IEEE 754 gives it. */
function decode(bits: number, exponentBits: number, fractionBits: number): number {
  const bias = 2 ** (exponentBits - 1) - 1;
  const sign = bits >= 0x8000 ? -1 : 1;
  const exponent = Math.floor((bits % 0x8000) / 2 ** fractionBits);
  const fraction = (bits % 2 ** fractionBits) / 2 ** fractionBits;
  if (exponent === 2 ** exponentBits - 1) return fraction === 0 ? sign * Infinity : NaN;
  if (exponent === 0) return sign * fraction * 2 ** (1 - bias);
  return sign * (1 + fraction) * 2 ** (exponent - bias);
}

describe.each(formats)('$dtype', ({ dtype, toBits, exponentBits, fractionBits }) => {
  const values = halfValues(dtype);
  const infinity = (2 ** exponentBits - 1) << fractionBits;

  test('all 65,536 bits have the value that their fields give', () => {
    const wrong = [...values.keys()].filter(
      (bits) => !Object.is(values[bits], decode(bits, exponentBits, fractionBits)),
    );
    expect(wrong).toEqual([]);
  });

  test('every value has its own bits again', () => {
    const wrong = [...values.keys()].filter((bits) => {
      const again = toBits(values[bits]);
      return Number.isNaN(values[bits]) ? !Number.isNaN(values[again]) : again !== bits;
    });
    expect(wrong).toEqual([]);
  });

  test('between every two neighbours the nearer wins and the middle goes to the even one', () => {
    const wrong: number[] = [];
    for (let bits = 0; bits < infinity; bits++) {
      const low = values[bits];
      // Above the largest number, infinity stands where the next number would.
      const high = bits + 1 === infinity ? 2 * low - values[bits - 1] : values[bits + 1];
      const middle = (low + high) / 2;
      const even = bits % 2 === 0 ? bits : bits + 1;
      const below = middle - (high - low) * 2 ** -30;
      const above = middle + (high - low) * 2 ** -30;
      for (const sign of [0, 0x8000]) {
        const of = (magnitude: number): number => toBits(sign ? -magnitude : magnitude);
        const right =
          of(middle) === (sign | even) &&
          of(below) === (sign | bits) &&
          of(above) === (sign | (bits + 1));
        if (!right) wrong.push(sign | bits);
      }
    }
    expect(wrong).toEqual([]);
  });

  test('rounds any number to one that no other number is nearer to', () => {
    fc.assert(
      fc.property(fc.double({ noNaN: true }), (value) => {
        const bits = toBits(value);
        const found = values[bits];
        if (Math.abs(found) === Infinity) {
          const largest = values[infinity - 1];
          const limit = largest + (largest - values[infinity - 2]) / 2;
          return Math.abs(value) >= limit && Math.sign(found) === Math.sign(value);
        }
        const error = Math.abs(found - value);
        const next = [bits - 1, bits + 1].filter((other) => Number.isFinite(values[other]));
        return next.every((other) => error <= Math.abs(values[other] - value));
      }),
      { seed: 1 },
    );
  });

  test('keeps the sign of zero, the infinities and NaN', () => {
    expect([0, -0, Infinity, -Infinity].map(toBits)).toEqual([
      0,
      0x8000,
      infinity,
      0x8000 | infinity,
    ]);
    expect(values[toBits(NaN)]).toBeNaN();
    expect([1e300, -1e300].map(toBits)).toEqual([infinity, 0x8000 | infinity]);
    expect([1e-300, -1e-300].map(toBits)).toEqual([0, 0x8000]);
  });
});
