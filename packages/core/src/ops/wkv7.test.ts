import { evaluate, ShapeError, tensor } from '@rwkv-js/tensor';
import { specificationArray } from '@rwkv-js/testing';
import { describe, expect, test } from 'vitest';
import { randomTensor, relativeError } from '../../test/numbers.ts';
import { describeTimeOp } from '../../test/time-op.ts';
import { openCpu } from '../cpu/device.ts';
import { wkv7 } from './wkv7.ts';

const record: Parameters<typeof describeTimeOp>[0]['record'] = (values) => {
  const [r, decay, k, v, a, b, state, offsets] = values;
  return wkv7(r, decay, k, v, a, b, state, offsets);
};

describeTimeOp({
  name: 'wkv7',
  record,
  width: 6,
  rows: 6,
  constants: [],
  states: [[2, 3, 3]],
});

describe('wkv7', () => {
  test('computes the vectors of the specification in doubles', async () => {
    await using device = openCpu({ precision: 'f64' });
    const rows = (k: number): Float64Array => specificationArray(k, 24);
    const sigmoid = (x: number): number => 1 / (1 + Math.exp(-x));
    const decay = rows(2).map((w) => Math.exp(-Math.exp(-0.5) * sigmoid(3 * w)));
    const kappa = rows(5).map((z, i, all) => {
      const first = i - (i % 4);
      return z / Math.hypot(...all.subarray(first, first + 4));
    });
    const b = rows(6).map((rate, i) => kappa[i] * sigmoid(rate));
    const [y, state] = await evaluate(
      device,
      (...values) => record(values),
      ...[rows(1), decay, rows(3), rows(4), kappa.map((x) => -x), b].map((row) =>
        tensor([6, 4], row),
      ),
      tensor([1, 1, 4, 4], specificationArray(7, 16)),
      tensor([2], [0, 6], 'i32'),
    );
    const expected: readonly (readonly [ArrayLike<number>, readonly number[]])[] = [
      [y.data.slice(0, 4), [-0.84323045, -0.986824544, -1.084155795, -1.135224201]],
      [y.data.slice(20), [0.484611226, 0.506114652, 0.527317163, -0.027617247]],
      [state.data.slice(0, 4), [-0.529562524, 1.031811249, 0.958597295, 0.97947497]],
      [state.data.slice(12), [-0.513851911, -0.117043065, -0.374459305, -0.328308176]],
    ];
    for (const [found, numbers] of expected) {
      numbers.forEach((number, i) => expect(found[i]).toBeCloseTo(number, 8));
    }
  });

  test('is a product with one matrix for each token, head by head', async () => {
    await using device = openCpu({ precision: 'f64' });
    const [heads, n, tokens] = [2, 3, 5];
    const width = heads * n;
    const rows = [1, 2, 3, 4, 5, 6].map((seed) => randomTensor(seed, [tokens, width]));
    const first = randomTensor(7, [1, heads, n, n]);
    const [y, state] = await evaluate(
      device,
      (...values) => record(values),
      ...rows,
      first,
      tensor([2], [0, tokens], 'i32'),
    );
    const last: number[] = [];
    for (let h = 0; h < heads; h++) {
      let matrix = Array.from(first.data.subarray(h * n * n, (h + 1) * n * n));
      for (let t = 0; t < tokens; t++) {
        const [r, decay, k, v, a, b] = rows.map(({ data }) =>
          Array.from(data.slice(t * width + h * n, t * width + (h + 1) * n)),
        );
        // S ← S (diag(decay) + a bᵀ) + v kᵀ
        matrix = matrix.map((_, at) => {
          const [i, j] = [Math.floor(at / n), at % n];
          let sum = v[i] * k[j];
          for (let l = 0; l < n; l++) {
            sum += matrix[i * n + l] * ((l === j ? decay[j] : 0) + a[l] * b[j]);
          }
          return sum;
        });
        const expected = r.map((_, i) =>
          r.reduce((sum, element, j) => sum + matrix[i * n + j] * element, 0),
        );
        const found = y.data.slice(t * width + h * n, t * width + (h + 1) * n);
        expect(relativeError(found, expected)).toBeLessThan(1e-12);
      }
      last.push(...matrix);
    }
    expect(relativeError(state.data, last)).toBeLessThan(1e-12);
  });

  test('refuses what does not fit', async () => {
    await using device = openCpu();
    const good = [
      ...[1, 2, 3, 4, 5, 6].map((seed) => randomTensor(seed, [5, 6])),
      randomTensor(6, [1, 2, 3, 3]),
      tensor([2], [0, 5], 'i32'),
    ];
    for (const [at, message] of [
      [1, 'decay must be floating [tokens, heads · headSize] = [5, 6]'],
      [5, 'b must be floating [tokens, heads · headSize] = [5, 6]'],
      [6, 'state must be f32 [slots, heads, headSize, headSize]'],
      [7, 'offsets must be i32[2]'],
    ] as const) {
      const wrong = good.with(at, randomTensor(1, [1, 2, 3, 2]));
      const mistake = evaluate(device, (...values) => record(values), ...wrong);
      await expect(mistake).rejects.toThrow(ShapeError);
      await expect(mistake).rejects.toThrow(message);
    }
  });
});
