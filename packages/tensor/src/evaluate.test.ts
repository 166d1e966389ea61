import { add, exp, openCpu, reshape, transpose } from '@rwkv-js/core';
import { describe, expect, test } from 'vitest';
import { ShapeError, UsageError } from './errors.ts';
import { evaluate, tensor } from './evaluate.ts';

describe('tensor', () => {
  test('rounds numbers to the dtype and keeps doubles given for f32', () => {
    expect(tensor([2], [1, 0.1]).data).toEqual(Float32Array.of(1, 0.1));
    expect(tensor([2], Float64Array.of(1, 0.1)).data).toEqual(Float64Array.of(1, 0.1));
    expect(tensor([], [3], 'i32').data).toEqual(Int32Array.of(3));
    expect(tensor([2], [1, -2], 'f16').data).toEqual(Uint16Array.of(0x3c00, 0xc000));
    expect(tensor([1], Uint16Array.of(5), 'bf16').data).toEqual(Uint16Array.of(5));
  });

  test('holds as many elements as its shape says', () => {
    expect(() => tensor([2, 2], [1, 2, 3])).toThrow(ShapeError);
    expect(() => tensor([2, 2], [1, 2, 3])).toThrow(
      'a tensor of shape [2, 2] was given 3 elements; it holds 4',
    );
  });

  test('refuses typed arrays of another dtype', () => {
    expect(() => tensor([1], Int32Array.of(1))).toThrow(UsageError);
    expect(() => tensor([1], Float32Array.of(1), 'i32')).toThrow(UsageError);
  });
});

describe('evaluate', () => {
  test('gives the outputs in the order of the function', async () => {
    await using device = openCpu();
    const [sum, turned] = await evaluate(
      device,
      (a, b) => [add(a, b), transpose(exp(a))],
      tensor([1, 2], [0, 1]),
      tensor([2], [10, 20]),
    );
    expect(sum).toEqual(tensor([1, 2], [10, 21]));
    expect(turned).toEqual(tensor([2, 1], [1, Math.E]));
  });

  test('takes 16-bit floats as their bits and gives doubles on a device in doubles', async () => {
    await using device = openCpu({ precision: 'f64' });
    const [bits] = await evaluate(
      device,
      (x) => [transpose(x)],
      tensor([1, 2], Uint16Array.of(1, 2), 'f16'),
    );
    expect(bits).toEqual({ dtype: 'f16', shape: [2, 1], data: Uint16Array.of(1, 2) });
    const [y] = await evaluate(device, (x) => [exp(x)], tensor([1], Float64Array.of(0.1)));
    expect(y.data).toEqual(Float64Array.of(Math.exp(0.1)));
  });

  test('tensors without elements go through', async () => {
    await using device = openCpu();
    const [y] = await evaluate(
      device,
      (x) => [reshape(exp(x), { shape: [3, 0] })],
      tensor([0, 2], []),
    );
    expect(y).toEqual(tensor([3, 0], []));
  });

  test('an input is no output', async () => {
    await using device = openCpu();
    await expect(evaluate(device, (x) => [x], tensor([1], [1]))).rejects.toThrow(UsageError);
  });
});
