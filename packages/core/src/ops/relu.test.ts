import { evaluate, tensor } from '@rwkv-js/tensor';
import { expect, test } from 'vitest';
import { describeUnary } from '../../test/element-wise.ts';
import { openCpu } from '../cpu/device.ts';
import { relu } from './relu.ts';

describeUnary('relu', relu, (x) => (x < 0 ? 0 : x));

test('relu keeps infinity and cuts minus infinity to 0', async () => {
  await using device = openCpu();
  const x = [Infinity, -Infinity, 0];
  const [y] = await evaluate(device, (value) => [relu(value)], tensor([x.length], x));
  expect([...y.data]).toEqual([Infinity, 0, 0]);
});
