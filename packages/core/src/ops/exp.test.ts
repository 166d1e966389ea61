import { evaluate, tensor } from '@rwkv-js/tensor';
import { expect, test } from 'vitest';
import { describeUnary } from '../../test/element-wise.ts';
import { openCpu } from '../cpu/device.ts';
import { exp } from './exp.ts';

describeUnary('exp', exp, (x) => Math.exp(x));

test('exp overflows to infinity and underflows to 0', async () => {
  await using device = openCpu();
  const x = [1000, -1000, Infinity, -Infinity];
  const [y] = await evaluate(device, (value) => [exp(value)], tensor([x.length], x));
  expect([...y.data]).toEqual([Infinity, 0, Infinity, 0]);
});
