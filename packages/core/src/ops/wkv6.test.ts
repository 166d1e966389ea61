import { evaluate, ShapeError, tensor } from '@rwkv-js/tensor';
import { specificationArray } from '@rwkv-js/testing';
import { describe, expect, test } from 'vitest';
import { randomTensor } from '../../test/numbers.ts';
import { describeTimeOp } from '../../test/time-op.ts';
import { openCpu } from '../cpu/device.ts';
import { wkv6 } from './wkv6.ts';

const record: Parameters<typeof describeTimeOp>[0]['record'] = (values) => {
  const [r, k, v, decay, bonus, state, offsets] = values;
  return wkv6(r, k, v, decay, bonus, state, offsets);
};

describeTimeOp({
  name: 'wkv6',
  record,
  width: 6,
  rows: 4,
  constants: [[2, 3]],
  states: [[2, 3, 3]],
});

describe('wkv6', () => {
  test.each([1, 2])(
    'computes the vectors of the specification in %d heads alike',
    async (heads) => {
      await using device = openCpu({ precision: 'f64' });
      // Every head gets the same rows: what it computes must not depend on the others.
      const rows = (k: number, map: (x: number) => number = (x) => x) => {
        const one = specificationArray(k, 24).map(map);
        const all = Array.from({ length: 6 }, (_, t) =>
          Array.from({ length: heads }, () => Array.from(one.subarray(4 * t, 4 * t + 4))),
        );
        return tensor([6, 4 * heads], Float64Array.from(all.flat(2)));
      };
      const perHead = (k: number, count: number): Float64Array =>
        Float64Array.from(
          Array.from({ length: heads }, () => [...specificationArray(k, count)]).flat(),
        );
      const [y, state] = await evaluate(
        device,
        (...values) => record(values),
        rows(1),
        rows(3),
        rows(4),
        rows(2, (x) => Math.exp(-Math.exp(x))),
        tensor([heads, 4], perHead(10, 4)),
        tensor([1, heads, 4, 4], perHead(7, 16)),
        tensor([2], [0, 6], 'i32'),
      );
      for (let head = 0; head < heads; head++) {
        const expected: readonly (readonly [ArrayLike<number>, readonly number[]])[] = [
          [
            y.data.slice(4 * head, 4 * head + 4),
            [0.249830821, -0.630306806, -1.50719606, 1.061903581],
          ],
          [
            y.data.slice(20 * heads + 4 * head),
            [0.135688103, 0.175819491, 0.215504241, -0.107777982],
          ],
          [state.data.slice(16 * head), [-0.461814486, -0.207639583, 0.043441418, -0.611390944]],
        ];
        for (const [found, numbers] of expected) {
          numbers.forEach((number, i) => expect(found[i]).toBeCloseTo(number, 8));
        }
      }
    },
  );

  test('refuses what does not fit', async () => {
    await using device = openCpu();
    const good = [
      ...[1, 2, 3, 4].map((seed) => randomTensor(seed, [5, 6])),
      randomTensor(5, [2, 3]),
      randomTensor(6, [1, 2, 3, 3]),
      tensor([2], [0, 5], 'i32'),
    ];
    for (const [at, message] of [
      [2, 'v must be floating [tokens, heads · headSize] = [5, 6]'],
      [3, 'decay must be floating [tokens, heads · headSize] = [5, 6]'],
      [4, 'bonus must be floating [heads, headSize] = [2, 3]'],
      [5, 'state must be f32 [slots, heads, headSize, headSize]'],
      [6, 'offsets must be i32[2]'],
    ] as const) {
      const wrong = good.with(at, randomTensor(1, [1, 2, 3, 2]));
      const mistake = evaluate(device, (...values) => record(values), ...wrong);
      await expect(mistake).rejects.toThrow(ShapeError);
      await expect(mistake).rejects.toThrow(message);
    }
  });
});
