import { rwkv4Entries, rwkv7Entries } from '@rwkv-js/language';
import { UsageError, viewBytes, type WeightEntry } from '@rwkv-js/tensor';
import { specificationWeights } from '@rwkv-js/testing';
import { describe, expect, test } from 'vitest';
import { initialWeights } from './initialize.ts';

const sizes = { layers: 3, width: 8, feedForwardWidth: 32, vocabularySize: 20 };
const entries7 = rwkv7Entries({ ...sizes, headSize: 4, ranks: { w: 2, a: 3, v: 2, g: 12 } }, 'f32');
const entries4 = rwkv4Entries(sizes, 'f32');

async function values(
  tensors: ReadonlyMap<string, WeightEntry>,
  name: string,
  seed = 1,
): Promise<number[]> {
  const source = initialWeights(tensors, { seed, rate: 0.01 });
  return [...viewBytes('f32', await source.read(name))];
}

/** Products of all pairs of rows of a matrix, or of its columns where it has more rows. */
function products(matrix: readonly number[], rows: number, columns: number): number[] {
  const tall = rows > columns;
  const [count, length] = tall ? [columns, rows] : [rows, columns];
  const element = (i: number, j: number): number =>
    tall ? matrix[j * columns + i]! : matrix[i * columns + j]!;
  const sums: number[] = [];
  for (let a = 0; a < count; a++) {
    for (let b = 0; b < count; b++) {
      let sum = 0;
      for (let j = 0; j < length; j++) sum += element(a, j) * element(b, j);
      sums.push(sum);
    }
  }
  return sums;
}

function expectOrthogonal(matrix: number[], rows: number, columns: number, gain: number): void {
  const count = Math.min(rows, columns);
  products(matrix, rows, columns).forEach((product, at) => {
    const isSame = Math.floor(at / count) === at % count;
    expect(product).toBeCloseTo(isSame ? gain ** 2 : 0, 6);
  });
}

describe('initial weights of RWKV-7', () => {
  test('mix more of the token before in later channels, by layer and letter', async () => {
    const [first, last] = [0, 2].map((layer) => `blocks.${layer}.att.x_w`);
    expect((await values(entries7, first!))[4]).toBeCloseTo(1 - 0.5 ** 0.9, 6);
    expect((await values(entries7, last!))[4]).toBeCloseTo(1 - 0.5 ** (0.9 / 3), 6);
    expect((await values(entries7, 'blocks.0.att.x_r'))[2]).toBeCloseTo(1 - 0.25 ** 0.2, 6);
    expect((await values(entries7, 'blocks.1.att.x_k'))[6]).toBeCloseTo(
      1 - 0.75 ** (0.7 * (2 / 3)),
      6,
    );
    expect((await values(entries7, 'blocks.1.ffn.x_k'))[6]).toBeCloseTo(
      1 - 0.75 ** ((2 / 3) ** 4),
      6,
    );
  });

  test('spread decay and learning rate over the channels of a head', async () => {
    const decay = await values(entries7, 'blocks.1.att.w0');
    // Channel 3 of 8 is the last of its head: z = 1. ρ01 = 1/2.
    const slope = (3 / 7) ** (1 + 0.5 ** 0.3);
    expect(decay[3]).toBeCloseTo(-6 + 6 * slope + 0.5 + 2.5, 5);
    const rate = await values(entries7, 'blocks.0.att.a0');
    expect(rate[0]).toBeCloseTo(-0.19 - 0.3 - 0.2, 6);
    expect(rate[7]).toBeCloseTo(-0.19 + 0.3 + 0.2, 6);
    expect((await values(entries7, 'blocks.1.att.v0'))[7]).toBeCloseTo(0.53, 6);
    expect((await values(entries7, 'blocks.0.att.k_k'))[0]).toBeCloseTo(0.76, 6);
  });

  test('have constants, zeros and norms where the specification has them', async () => {
    const all = async (name: string): Promise<number[]> => [
      ...new Set((await values(entries7, name)).map((x) => Number(x.toFixed(6)))),
    ];
    expect(await all('blocks.0.att.k_a')).toEqual([1.02]);
    expect(await all('blocks.0.att.r_k')).toEqual([-0.04]);
    for (const name of ['att.w1', 'att.g1', 'att.output.weight', 'ffn.value.weight', 'ln1.bias']) {
      expect(await all(`blocks.0.${name}`), name).toEqual([0]);
    }
    for (const name of ['blocks.0.ln0.weight', 'blocks.1.ln2.weight', 'ln_out.weight']) {
      expect(await all(name), name).toEqual([1]);
    }
    expect(await all('blocks.1.att.ln_x.weight')).toEqual([Number(((2 / 3) ** 0.7).toFixed(6))]);
  });

  test('have orthogonal matrices of the right gain', async () => {
    expectOrthogonal(await values(entries7, 'blocks.1.att.receptance.weight'), 8, 8, 1);
    expectOrthogonal(await values(entries7, 'blocks.1.att.key.weight'), 8, 8, 0.1);
    expectOrthogonal(await values(entries7, 'blocks.1.ffn.key.weight'), 32, 8, 1);
    expectOrthogonal(await values(entries7, 'blocks.1.att.w2'), 2, 8, 0.1);
    expectOrthogonal(await values(entries7, 'blocks.1.att.g2'), 12, 8, 0.1 * Math.sqrt(12 / 8));
    expectOrthogonal(await values(entries7, 'head.weight'), 20, 8, 0.5 * Math.sqrt(20 / 8));
  });

  test('have an embedding that is small', async () => {
    const embedding = await values(entries7, 'emb.weight');
    expect(Math.max(...embedding.map(Math.abs))).toBeLessThanOrEqual(1e-4);
    expect(Math.max(...embedding.map(Math.abs))).toBeGreaterThan(0.8e-4);
    expect(Math.abs(embedding.reduce((a, b) => a + b)) / embedding.length).toBeLessThan(2e-5);
  });

  test('are the same for a seed, and others for another', async () => {
    const name = 'blocks.2.att.value.weight';
    expect(await values(entries7, name, 5)).toEqual(await values(entries7, name, 5));
    expect(await values(entries7, name, 5)).not.toEqual(await values(entries7, name, 6));
    expect(await values(entries7, name, 5)).not.toEqual(
      await values(entries7, 'blocks.1.att.value.weight', 5),
    );
  });

  test('of a single layer are finite', async () => {
    const one = rwkv7Entries(
      { ...sizes, layers: 1, headSize: 1, ranks: { w: 2, a: 2, v: 2, g: 2 } },
      'f32',
    );
    for (const name of one.keys()) {
      expect((await values(one, name)).every(Number.isFinite), name).toBe(true);
    }
  });
});

describe('initial weights of RWKV-4', () => {
  test('follow the formulas of their own', async () => {
    expect((await values(entries4, 'blocks.1.att.time_mix_v'))[2]).toBeCloseTo(
      0.25 ** (2 / 3) + 0.15,
      6,
    );
    expect((await values(entries4, 'blocks.0.att.time_mix_r'))[2]).toBeCloseTo(0.5, 6);
    expect((await values(entries4, 'blocks.2.ffn.time_mix_r'))[4]).toBeCloseTo(0.5 ** (1 / 3), 6);
    expect((await values(entries4, 'blocks.2.att.time_decay'))[3]).toBeCloseTo(
      -5 + 8 * (3 / 7) ** 2,
      5,
    );
    const first = await values(entries4, 'blocks.0.att.time_first');
    expect(first[0]).toBeCloseTo(Math.log(0.3), 6);
    expect(first[1]).toBeCloseTo(Math.log(0.3) + 0.5, 6);
    expect(first[2]).toBeCloseTo(Math.log(0.3) - 0.5, 6);
    expectOrthogonal(await values(entries4, 'blocks.0.ffn.key.weight'), 32, 8, 2);
    expectOrthogonal(await values(entries4, 'blocks.0.att.value.weight'), 8, 8, 1);
    expect(new Set(await values(entries4, 'blocks.0.att.key.weight'))).toEqual(new Set([0]));
    const embedding = await values(entries4, 'emb.weight');
    expect(Math.max(...embedding.map(Math.abs))).toBeGreaterThan(0.008);
    expect(Math.max(...embedding.map(Math.abs))).toBeLessThanOrEqual(0.01);
  });
});

describe('initial weights', () => {
  const options = { seed: 1, rate: 0.01 };

  test('refuse the versions in between', () => {
    const { tensors } = specificationWeights('6');
    expect(() => initialWeights(tensors, options)).toThrow(UsageError);
    expect(() => initialWeights(tensors, options)).toThrow(
      'initial weights of an RWKV-6 were asked for; they are known for RWKV-4 and RWKV-7',
    );
  });

  test('refuse tensors that are not f32 or that the version does not have', () => {
    const half = new Map(entries7).set('head.weight', { dtype: 'f16', shape: [20, 8] });
    expect(() => initialWeights(half, options)).toThrow("tensor 'head.weight' was to be init");
    const odd = new Map(entries7).set('blocks.0.att.time_decay', { dtype: 'f32', shape: [8] });
    expect(() => initialWeights(odd, options)).toThrow(
      "tensor 'blocks.0.att.time_decay' was to be initialised, which RWKV-7 does not have; leave it out",
    );
  });

  test.each([-1, 0.5, 2 ** 32, NaN])('refuse the seed %d', (seed) => {
    expect(() => initialWeights(entries7, { ...options, seed })).toThrow(UsageError);
  });

  test('know the names that they have', async () => {
    await expect(initialWeights(entries7, options).read('nothing')).rejects.toThrow(UsageError);
  });
});
