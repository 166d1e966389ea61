import { evaluate, ShapeError, tensor } from '@rwkv-js/tensor';
import { specificationArray } from '@rwkv-js/testing';
import { describe, expect, test } from 'vitest';
import { randomTensor, relativeError, rowsOf } from '../../test/numbers.ts';
import { describeTimeOp } from '../../test/time-op.ts';
import { openCpu } from '../cpu/device.ts';
import { wkv4 } from './wkv4.ts';

const record: Parameters<typeof describeTimeOp>[0]['record'] = (values) => {
  const [k, v, logDecay, bonus, numerator, denominator, maximum, offsets] = values;
  return wkv4(k, v, logDecay, bonus, numerator, denominator, maximum, offsets);
};

describeTimeOp({
  name: 'wkv4',
  record,
  width: 5,
  rows: 2,
  constants: [[5], [5]],
  states: [[5], [5], [5]],
});

describe('wkv4', () => {
  test('computes the vectors of the specification in doubles', async () => {
    await using device = openCpu({ precision: 'f64' });
    const results = await evaluate(
      device,
      (...values) => record(values),
      tensor([6, 4], specificationArray(3, 24)),
      tensor([6, 4], specificationArray(4, 24)),
      tensor(
        [4],
        specificationArray(11, 4).map((x) => -Math.exp(x)),
      ),
      tensor([4], specificationArray(10, 4)),
      tensor([1, 4], new Float64Array(4)),
      tensor([1, 4], new Float64Array(4)),
      tensor([1, 4], new Float64Array(4).fill(-1e38)),
      tensor([2], [0, 6], 'i32'),
    );
    const [y, numerator, denominator, maximum] = results.map(({ data }) => data);
    const expected: readonly (readonly [ArrayLike<number>, readonly number[]])[] = [
      [y.slice(0, 4), [0.178771973, -0.010375977, -0.197631836, -0.382995605]],
      [y.slice(20), [0.171981948, 0.351137345, -0.076639261, 0.342305206]],
      [numerator, [0.487145254, 0.560652357, 0.290815879, 0.345030798]],
      [denominator, [4.248185308, 1.092995188, 1.373117501, 1.073082445]],
      [maximum, [-0.964294434, 0.992370605, 0.950897217, 0.911315918]],
    ];
    for (const [found, numbers] of expected) {
      numbers.forEach((number, i) => expect(found[i]).toBeCloseTo(number, 8));
    }
  });

  test('is the weighted average of all values so far', async () => {
    await using device = openCpu({ precision: 'f64' });
    const [tokens, width] = [7, 3];
    const [k, v, bonus] = [
      randomTensor(1, [tokens, width]),
      randomTensor(2, [tokens, width]),
      randomTensor(3, [width]),
    ];
    const logDecay = tensor([width], [-0.1, -1, -3]);
    const zeros = tensor([1, width], [0, 0, 0]);
    const [y] = await evaluate(
      device,
      (...values) => record(values),
      k,
      v,
      logDecay,
      bonus,
      zeros,
      zeros,
      tensor([1, width], [-1e30, -1e30, -1e30]),
      tensor([2], [0, tokens], 'i32'),
    );
    const [keys, values] = [rowsOf(k.data, width), rowsOf(v.data, width)];
    const expected = keys.flatMap((_, t) =>
      Array.from({ length: width }, (__, c) => {
        let [above, below] = [0, 0];
        for (let s = 0; s <= t; s++) {
          const exponent =
            s === t ? bonus.data[c] + keys[t][c] : (t - 1 - s) * logDecay.data[c] + keys[s][c];
          above += Math.exp(exponent) * values[s][c];
          below += Math.exp(exponent);
        }
        return above / below;
      }),
    );
    expect(relativeError(y.data, expected)).toBeLessThan(1e-12);
  });

  test('large keys do not overflow', async () => {
    await using device = openCpu();
    const [y] = await evaluate(
      device,
      (...values) => record(values),
      tensor([2, 1], [1000, 2000]),
      tensor([2, 1], [3, 5]),
      tensor([1], [-1]),
      tensor([1], [0]),
      tensor([1, 1], [0]),
      tensor([1, 1], [0]),
      tensor([1, 1], [-1e30]),
      tensor([2], [0, 2], 'i32'),
    );
    expect([...y.data]).toEqual([3, 5]);
  });

  test('refuses what does not fit', async () => {
    await using device = openCpu();
    const good = [
      randomTensor(1, [2, 3]),
      randomTensor(2, [2, 3]),
      randomTensor(3, [3]),
      randomTensor(4, [3]),
      randomTensor(5, [1, 3]),
      randomTensor(6, [1, 3]),
      randomTensor(7, [1, 3]),
      tensor([2], [0, 2], 'i32'),
    ];
    for (const [at, name] of [
      [1, 'v must be floating [tokens, width] = [2, 3]'],
      [2, 'logDecay must be floating [width] = [3]'],
      [3, 'bonus must be floating [width] = [3]'],
      [5, 'denominator must be floating [slots, width] = [1, 3]'],
      [6, 'maximum must be floating [slots, width] = [1, 3]'],
      [7, 'offsets must be i32[2]'],
    ] as const) {
      const wrong = good.with(at, randomTensor(1, [2, 2]));
      const mistake = evaluate(device, (...values) => record(values), ...wrong);
      await expect(mistake).rejects.toThrow(ShapeError);
      await expect(mistake).rejects.toThrow(name);
    }
  });
});
