import { evaluate, tensor } from '@rwkv-js/tensor';
import { expect, test } from 'vitest';
import { describeUnary } from '../../test/element-wise.ts';
import { openCpu } from '../cpu/device.ts';
import { tanh } from './tanh.ts';

describeUnary('tanh', tanh, (x) => Math.tanh(x));

test('tanh is −1 and 1 far out', async () => {
  await using device = openCpu();
  const x = [-1000, 1000, -Infinity, Infinity];
  const [y] = await evaluate(device, (value) => [tanh(value)], tensor([x.length], x));
  expect([...y.data]).toEqual([-1, 1, -1, 1]);
});
