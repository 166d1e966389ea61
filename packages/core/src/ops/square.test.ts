import { evaluate, tensor } from '@rwkv-js/tensor';
import { expect, test } from 'vitest';
import { describeUnary } from '../../test/element-wise.ts';
import { openCpu } from '../cpu/device.ts';
import { square } from './square.ts';

describeUnary('square', square, (x) => x ** 2);

test('square overflows to infinity', async () => {
  await using device = openCpu();
  const x = [1e30, -Infinity];
  const [y] = await evaluate(device, (value) => [square(value)], tensor([x.length], x));
  expect([...y.data]).toEqual([Infinity, Infinity]);
});
