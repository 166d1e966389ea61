import { evaluate, tensor } from '@rwkv-js/tensor';
import { expect, test } from 'vitest';
import { describeUnary } from '../../test/element-wise.ts';
import { openCpu } from '../cpu/device.ts';
import { scale } from './scale.ts';

describeUnary(
  'scale',
  (x) => scale(x, { factor: -0.3 }),
  (x) => x * -0.3,
);

test('scale by zero keeps signs of zero', async () => {
  await using device = openCpu();
  const [y] = await evaluate(device, (x) => [scale(x, { factor: 0 })], tensor([2], [1, -1]));
  expect([...y.data]).toEqual([0, -0]);
});
