import { evaluate, tensor } from '@rwkv-js/tensor';
import { expect, test } from 'vitest';
import { describeUnary } from '../../test/element-wise.ts';
import { openCpu } from '../cpu/device.ts';
import { negate } from './negate.ts';

describeUnary('negate', negate, (x) => -x);

test('negate turns the sign of zero and the infinities', async () => {
  await using device = openCpu();
  const x = [0, Infinity];
  const [y] = await evaluate(device, (value) => [negate(value)], tensor([x.length], x));
  expect([...y.data]).toEqual([-0, -Infinity]);
});
