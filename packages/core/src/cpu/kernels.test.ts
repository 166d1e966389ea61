import { f16, f32, i32, plan, record } from '@rwkv-js/tensor';
import { expect, test } from 'vitest';
import { gatherRows } from '../ops/gather-rows.ts';
import { linear } from '../ops/linear.ts';
import { wkv7 } from '../ops/wkv7.ts';
import { cpuKernels } from './kernels.ts';

const program = record('step', (recorder) => {
  const x = gatherRows(recorder.parameter('emb', f16(100, 4)), recorder.input('tokens', i32(3)));
  const [r, decay, k, v, a, b] = Array.from({ length: 6 }, (_, i) =>
    linear(x, recorder.parameter(`w${i}`, f16(4, 4))),
  );
  const state = recorder.state('s', f32(2, 1, 4, 4));
  const [y, next] = wkv7(r, decay, k, v, a, b, state, recorder.input('offsets', i32(3)));
  recorder.update(state, next);
  return { y };
});

test('costs are those of the operations: a table is read by its rows, a product is 2 a weight', () => {
  const { calls } = plan(program, cpuKernels('f32'));
  const cost = (kernel: string) => calls.find((call) => call.kernel === kernel)!.cost;
  expect(cost('gatherRows')).toEqual({
    bytesRead: 3 * 4 + 3 * 4 * 2,
    bytesWritten: 3 * 4 * 4,
    operations: 0,
  });
  expect(cost('linear')).toEqual({
    bytesRead: 3 * 4 * 4 + 4 * 4 * 2,
    bytesWritten: 3 * 4 * 4,
    operations: 2 * 3 * 16,
  });
  expect(cost('wkv7').operations).toBe(9 * 3 * 4 * 4);
});

test('doubles take eight bytes, everything else what it takes', () => {
  const { memory } = cpuKernels('f64');
  expect([f32(3), f16(3), i32(3)].map((spec) => memory.byteLength(spec))).toEqual([24, 6, 12]);
  expect([f32(3), f16(3)].map((spec) => cpuKernels('f32').memory.byteLength(spec))).toEqual([
    12, 6,
  ]);
});
