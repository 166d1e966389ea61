import { evaluate, tensor } from '@rwkv-js/tensor';
import { expect, test } from 'vitest';
import { describeUnary } from '../../test/element-wise.ts';
import { openCpu } from '../cpu/device.ts';
import { softplus } from './softplus.ts';

describeUnary('softplus', softplus, (x) => Math.max(x, 0) + Math.log1p(Math.exp(-Math.abs(x))));

test('softplus is ln(1 + eˣ) where that can be computed', async () => {
  await using device = openCpu({ precision: 'f64' });
  const x = Float64Array.from({ length: 41 }, (_, i) => i - 20);
  const [y] = await evaluate(device, (value) => [softplus(value)], tensor([41], x));
  y.data.forEach((found: number, i: number) => {
    expect(found).toBeCloseTo(Math.log(1 + Math.exp(x[i])), 12);
  });
});

test('softplus is x, or eˣ, far out', async () => {
  await using device = openCpu({ precision: 'f64' });
  const x = Float64Array.of(1000, -50, -1000, Infinity, -Infinity);
  const [y] = await evaluate(device, (value) => [softplus(value)], tensor([x.length], x));
  expect([...y.data]).toEqual([1000, Math.exp(-50), 0, Infinity, 0]);
});
