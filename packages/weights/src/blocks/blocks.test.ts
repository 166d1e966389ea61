import { halfValues, toF16Bits, UsageError } from '@rwkv-js/tensor';
import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import type { BlockFormat } from './block-format.ts';
import { blockEncodings, blockFormats } from './block-formats.ts';

/** One block, by whose bytes the specification's formulas give element `e`. */
interface Block {
  u8(at: number): number;
  i8(at: number): number;
  f16(at: number): number;
  bit(at: number, bit: number): number;
}

function blockOf(bytes: Uint8Array): Block {
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  return {
    u8: (at) => view.getUint8(at),
    i8: (at) => view.getInt8(at),
    f16: (at) => halfValues('f16')[view.getUint16(at, true)],
    bit: (at, bit) => (view.getUint8(at + (bit >> 3)) >> (bit & 7)) & 1,
  };
}

/** The nibble of element `e` of 32. */
const nibble = ({ u8 }: Block, at: number, e: number): number =>
  e < 16 ? u8(at + e) & 15 : u8(at + e - 16) >> 4;

/** Scale and minimum of group `j`, 6 bits each. */
function six({ u8 }: Block, j: number): readonly [number, number] {
  const s = (i: number): number => u8(4 + i);
  if (j < 4) return [s(j) & 63, s(j + 4) & 63];
  return [(s(j + 4) & 15) | ((s(j - 4) >> 6) << 4), (s(j + 4) >> 4) | ((s(j) >> 6) << 4)];
}

/** The formulas as specs/rwkv.md §5.6 writes them, element by element. */
const formulas: Readonly<Record<string, (b: Block, e: number) => number>> = {
  Q4_0: (b, e) => b.f16(0) * (nibble(b, 2, e) - 8),
  Q4_1: (b, e) => b.f16(0) * nibble(b, 4, e) + b.f16(2),
  Q5_0: (b, e) => b.f16(0) * ((nibble(b, 6, e) | (b.bit(2, e) << 4)) - 16),
  Q5_1: (b, e) => b.f16(0) * (nibble(b, 8, e) | (b.bit(4, e) << 4)) + b.f16(2),
  Q8_0: (b, e) => b.f16(0) * b.i8(2 + e),
  Q2_K: (b, e) => {
    const [n, g, l] = [Math.floor(e / 128), Math.floor((e % 128) / 32), e % 32];
    const s = b.u8(Math.floor(e / 16));
    const q = (b.u8(16 + 32 * n + l) >> (2 * g)) & 3;
    return b.f16(80) * (s & 15) * q - b.f16(82) * (s >> 4);
  },
  Q3_K: (b, e) => {
    const [n, g, l] = [Math.floor(e / 128), Math.floor((e % 128) / 32), e % 32];
    const q = (b.u8(32 + 32 * n + l) >> (2 * g)) & 3;
    const h = (b.u8(l) >> (4 * n + g)) & 1;
    const k = Math.floor(e / 16);
    const low = (b.u8(96 + (k % 8)) >> (4 * Math.floor(k / 8))) & 15;
    const high = (b.u8(96 + 8 + (k % 4)) >> (2 * Math.floor(k / 4))) & 3;
    return b.f16(108) * ((low | (high << 4)) - 32) * (q - (h ? 0 : 4));
  },
  Q4_K: (b, e) => {
    const j = Math.floor(e / 32);
    const [scale, minimum] = six(b, j);
    const q = (b.u8(16 + 32 * Math.floor(j / 2) + (e % 32)) >> (4 * (j % 2))) & 15;
    return b.f16(0) * scale * q - b.f16(2) * minimum;
  },
  Q5_K: (b, e) => {
    const j = Math.floor(e / 32);
    const [scale, minimum] = six(b, j);
    const low = (b.u8(48 + 32 * Math.floor(j / 2) + (e % 32)) >> (4 * (j % 2))) & 15;
    const q = low | (((b.u8(16 + (e % 32)) >> j) & 1) << 4);
    return b.f16(0) * scale * q - b.f16(2) * minimum;
  },
  Q6_K: (b, e) => {
    const [n, g, l] = [Math.floor(e / 128), Math.floor((e % 128) / 32), e % 32];
    const low = (b.u8(64 * n + 32 * (g % 2) + l) >> (4 * Math.floor(g / 2))) & 15;
    const q = low | (((b.u8(128 + 32 * n + l) >> (2 * g)) & 3) << 4);
    return b.f16(208) * b.i8(192 + Math.floor(e / 16)) * (q - 32);
  },
};

/** Where the f16 fields of a block are; any bytes elsewhere are a block. */
const halves: Readonly<Record<string, readonly number[]>> = {
  Q4_0: [0],
  Q4_1: [0, 2],
  Q5_0: [0],
  Q5_1: [0, 2],
  Q8_0: [0],
  Q2_K: [80, 82],
  Q3_K: [108],
  Q4_K: [0, 2],
  Q5_K: [0, 2],
  Q6_K: [208],
};

/** Any blocks of a format, with scales that are finite. */
const blocksOf = ({ name, bytes }: BlockFormat): fc.Arbitrary<Uint8Array> =>
  fc
    .array(fc.uint8Array({ minLength: bytes, maxLength: bytes }), { minLength: 1, maxLength: 3 })
    .map((blocks) => {
      const all = new Uint8Array(blocks.length * bytes);
      blocks.forEach((block, i) => {
        // The exponent of infinities becomes the one below.
        for (const at of halves[name]) if ((block[at + 1] & 0x7c) === 0x7c) block[at + 1] ^= 4;
        all.set(block, i * bytes);
      });
      return all;
    });

describe.each([...blockFormats.values()])('$name', (format) => {
  test('gives the numbers of the formula for any bytes', () => {
    fc.assert(
      fc.property(blocksOf(format), (blocks) => {
        const count = (blocks.length / format.bytes) * format.elements;
        const values = new Float32Array(count);
        format.decode(blocks, values);
        const expected = Float32Array.from({ length: count }, (_, i) => {
          const start = Math.floor(i / format.elements) * format.bytes;
          const block = blockOf(blocks.subarray(start, start + format.bytes));
          return formulas[format.name](block, i % format.elements);
        });
        expect(values).toEqual(expected);
      }),
      { seed: 56, numRuns: 50 },
    );
  });

  test('reads blocks that begin anywhere in memory', () => {
    const padded = Uint8Array.from({ length: format.bytes + 3 }, (_, i) => (i * 37) & 0x3f);
    const [here, there] = [new Float32Array(format.elements), new Float32Array(format.elements)];
    format.decode(padded.subarray(3), here);
    format.decode(padded.slice(3), there);
    expect(here).toEqual(there);
    expect(here.some((value) => value !== 0)).toBe(true);
  });
});

/** Numbers between the levels of a block: a step of its scale, for the least scale that it may have. */
const levels: Readonly<Record<string, number>> = {
  Q4_0: 8,
  Q4_1: 15,
  Q5_0: 16,
  Q5_1: 31,
  Q8_0: 127,
};

/** A block with its bytes, as the reference package of the format makes it. */
const reference: Readonly<Record<string, string>> = {
  Q4_0: '74bc6ff9832cb55ee8721aa44dd76009933c',
  Q4_1: '823c00c890067cd44aa1178ee55bb2389ff66cc3',
  Q5_0: '74b86ba5564aced215476a9cb0f325487a9ed1032658',
  Q5_1: '5d3800c8945aa9b5301deab884523f0cdab774512efcd9a6',
  Q8_0: '7d2c8ef256c82d9e0367d93daf1377e94ebf2495fa5ed034a60a6fe045b61b7ff155',
};

const hex = (bytes: Uint8Array): string => Buffer.from(bytes).toString('hex');

describe.each(blockEncodings)('$name', (format) => {
  const encode = (values: Float32Array): Uint8Array => {
    const blocks = new Uint8Array((values.length / 32) * format.bytes);
    format.encode(values, blocks);
    return blocks;
  };

  test('writes the same bytes as the reference package', () => {
    const values = Float32Array.from({ length: 32 }, (_, i) => ((i * 7) % 17) - 8 + i / 32);
    expect(hex(encode(values))).toBe(reference[format.name]);
  });

  test('comes back within half a step, a whole one at the far end of formats without a minimum', () => {
    const magnitude = fc.integer({ min: -18, max: 12 });
    const numbers = fc.array(fc.float({ min: -1, max: 1, noNaN: true }), {
      minLength: 64,
      maxLength: 64,
    });
    fc.assert(
      fc.property(numbers, magnitude, (unit, exponent) => {
        const values = Float32Array.from(unit, (value) => value * 2 ** exponent);
        const back = new Float32Array(64);
        format.decode(encode(values), back);
        for (let block = 0; block < 2; block++) {
          const part = [...values.subarray(32 * block, 32 * block + 32)];
          const least = Math.min(...part);
          const greatest = Math.max(...part);
          const far = Math.max(-least, greatest);
          const hasMinimum = format.name.endsWith('_1');
          const step = (hasMinimum ? greatest - least : far) / levels[format.name];
          const wholeStep = format.name === 'Q4_0' || format.name === 'Q5_0';
          // An f16 has 11 bits, or is a multiple of 2^-24; a scale counts as often as there are levels.
          const rounding = (2 ** -11 * step + 2 ** -25) * (levels[format.name] + 1);
          const offset = hasMinimum ? 2 ** -11 * Math.abs(least) + 2 ** -25 : 0;
          const bound = (wholeStep ? 1 : 0.5) * step + rounding + offset + 1e-6 * far;
          for (let l = 0; l < 32; l++) {
            const i = 32 * block + l;
            expect(Math.abs(back[i] - values[i])).toBeLessThanOrEqual(bound);
          }
        }
      }),
      { seed: 5, numRuns: 300 },
    );
  });

  test('quantising once more moves a number by a part of a step at most', () => {
    const values = Float32Array.from({ length: 32 }, (_, i) => Math.sin(i * i));
    const once = new Float32Array(32);
    format.decode(encode(values), once);
    const twice = new Float32Array(32);
    format.decode(encode(once), twice);
    // The least step, that of Q8_0, is 0.008; what moves is the scale, which is rounded to an f16.
    for (let i = 0; i < 32; i++) expect(Math.abs(twice[i] - once[i])).toBeLessThan(0.002);
  });

  test('keeps zeros, and numbers too small for an f16 become zero', () => {
    for (const tiny of [0, 1e-40, -1e-30]) {
      const back = new Float32Array(32).fill(1);
      format.decode(encode(new Float32Array(32).fill(tiny)), back);
      expect([...back].every((value) => value === 0)).toBe(true);
    }
  });

  test('refuses numbers that are not finite and blocks whose scale is none', () => {
    for (const bad of [NaN, Infinity, -1e9, 1e9]) {
      const values = new Float32Array(32);
      values[7] = bad;
      expect(() => encode(values)).toThrow(UsageError);
      expect(() => encode(values)).toThrow(`Quantising to ${format.name}`);
    }
  });
});

test('a scale is the f16 nearest to it', () => {
  const values = new Float32Array(32).fill(1);
  for (const format of blockEncodings) {
    const blocks = new Uint8Array(format.bytes);
    format.encode(values, blocks);
    const bits = blocks[0] | (blocks[1] << 8);
    const scale = { Q4_0: -1 / 8, Q5_0: -1 / 16, Q8_0: 1 / 127 }[format.name] ?? 0;
    expect(bits).toBe(toF16Bits(scale));
  }
});
