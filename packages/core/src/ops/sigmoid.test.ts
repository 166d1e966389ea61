import { evaluate, tensor } from '@rwkv-js/tensor';
import { expect, test } from 'vitest';
import { describeUnary } from '../../test/element-wise.ts';
import { openCpu } from '../cpu/device.ts';
import { sigmoid } from './sigmoid.ts';

describeUnary('sigmoid', sigmoid, (x) => 1 / (1 + Math.exp(-x)));

test('sigmoid is 0 and 1 far out', async () => {
  await using device = openCpu();
  const x = [-1000, 1000, -Infinity, Infinity];
  const [y] = await evaluate(device, (value) => [sigmoid(value)], tensor([x.length], x));
  expect([...y.data]).toEqual([0, 1, 0, 1]);
});
