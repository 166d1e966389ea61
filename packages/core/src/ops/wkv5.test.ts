import { evaluate, ShapeError, tensor } from '@rwkv-js/tensor';
import { describe, expect, test } from 'vitest';
import { randomTensor, relativeError } from '../../test/numbers.ts';
import { describeTimeOp } from '../../test/time-op.ts';
import { openCpu } from '../cpu/device.ts';
import { wkv5 } from './wkv5.ts';
import { wkv6 } from './wkv6.ts';

const [heads, headSize, tokens] = [2, 3, 5];
const width = heads * headSize;

const record: Parameters<typeof describeTimeOp>[0]['record'] = (values) => {
  const [r, k, v, decay, bonus, state, offsets] = values;
  return wkv5(r, k, v, decay, bonus, state, offsets);
};

describeTimeOp({
  name: 'wkv5',
  record,
  width,
  rows: 3,
  constants: [
    [heads, headSize],
    [heads, headSize],
  ],
  states: [[heads, headSize, headSize]],
});

const given = [
  randomTensor(1, [tokens, width]),
  randomTensor(2, [tokens, width]),
  randomTensor(3, [tokens, width]),
  randomTensor(4, [heads, headSize]),
  randomTensor(5, [heads, headSize]),
  randomTensor(6, [1, heads, headSize, headSize]),
  tensor([2], [0, tokens], 'i32'),
];

describe('wkv5', () => {
  test('computes its recurrence, head by head, in doubles', async () => {
    await using device = openCpu({ precision: 'f64' });
    const [y, state] = await evaluate(device, (...values) => record(values), ...given);
    const [r, k, v, decay, bonus, first] = given.map(({ data }) => data);
    const matrix = [...first];
    const expected: number[] = [];
    for (let t = 0; t < tokens; t++) {
      for (let h = 0; h < heads; h++) {
        // y_j = Σ_i r_i (S_ij + u_i k_i v_j)
        for (let j = 0; j < headSize; j++) {
          let sum = 0;
          for (let i = 0; i < headSize; i++) {
            const [row, column] = [t * width + h * headSize + i, t * width + h * headSize + j];
            const entry = matrix[(h * headSize + i) * headSize + j];
            sum += r[row] * (entry + bonus[h * headSize + i] * k[row] * v[column]);
          }
          expected.push(sum);
        }
        // S_ij ← w_i S_ij + k_i v_j
        for (let i = 0; i < headSize; i++) {
          for (let j = 0; j < headSize; j++) {
            const at = (h * headSize + i) * headSize + j;
            const [row, column] = [t * width + h * headSize + i, t * width + h * headSize + j];
            matrix[at] = decay[h * headSize + i] * matrix[at] + k[row] * v[column];
          }
        }
      }
    }
    expect(relativeError(y.data, expected)).toBeLessThan(1e-13);
    expect(relativeError(state.data, matrix)).toBeLessThan(1e-13);
  });

  test('is wkv6 with a decay that every token shares', async () => {
    await using device = openCpu();
    const [r, k, v, decay, bonus, state, offsets] = given;
    const rows = Array.from({ length: tokens }, () => [...decay.data]).flat();
    const six = await evaluate(
      device,
      (...values) => {
        const [a, b, c, d, e, f, g] = values;
        return wkv6(a, b, c, d, e, f, g);
      },
      r,
      k,
      v,
      tensor([tokens, width], rows),
      bonus,
      state,
      offsets,
    );
    const five = await evaluate(device, (...values) => record(values), ...given);
    expect(five).toEqual(six);
  });

  test('refuses what does not fit', async () => {
    await using device = openCpu();
    for (const [at, message] of [
      [0, 'r must be floating [tokens, heads · headSize] = [2, 6]'],
      [1, 'k must be floating [tokens, heads · headSize] = [5, 6]'],
      [3, 'decay must be floating [heads, headSize] = [2, 3]'],
      [4, 'bonus must be floating [heads, headSize] = [2, 3]'],
      [5, 'state must be f32 [slots, heads, headSize, headSize]'],
      [6, 'offsets must be i32[2]'],
    ] as const) {
      const wrong = given.with(at, randomTensor(1, [2, 2]));
      const mistake = evaluate(device, (...values) => record(values), ...wrong);
      await expect(mistake).rejects.toThrow(ShapeError);
      await expect(mistake).rejects.toThrow(message);
    }
  });
});
