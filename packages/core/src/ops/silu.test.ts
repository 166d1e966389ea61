import { evaluate, tensor } from '@rwkv-js/tensor';
import { expect, test } from 'vitest';
import { describeUnary } from '../../test/element-wise.ts';
import { openCpu } from '../cpu/device.ts';
import { silu } from './silu.ts';

describeUnary('silu', silu, (x) => x / (1 + Math.exp(-x)));

test('silu is −0 and x far out', async () => {
  await using device = openCpu();
  const x = [-1000, 1000, Infinity];
  const [y] = await evaluate(device, (value) => [silu(value)], tensor([x.length], x));
  expect([...y.data]).toEqual([-0, 1000, Infinity]);
});
