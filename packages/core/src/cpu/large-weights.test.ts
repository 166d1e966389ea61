import { deviceWith } from '@rwkv-js/testing';
import { f32, i32, loadParameters, lower, record, type WeightSource } from '@rwkv-js/tensor';
import { expect, test } from 'vitest';
import { linearSquaredRelu } from '../composites/linear-squared-relu.ts';
import { gatherRows } from '../ops/gather-rows.ts';
import { openCpu } from './device.ts';

test('a weight in parts of its rows gives what the whole gives, and is read once', async () => {
  const program = record('step', (recorder) => {
    const weight = recorder.parameter('weight', f32(6, 4));
    const tokens = recorder.input('tokens', i32(2));
    return { y: linearSquaredRelu(gatherRows(weight, tokens), weight) };
  });
  let reads = 0;
  const source: WeightSource = {
    label: 'one weight',
    tensors: new Map([['weight', f32(6, 4)]]),
    metadata: new Map(),
    read: async () => {
      reads++;
      return new Uint8Array(Float32Array.from({ length: 24 }, (_, i) => Math.sin(i)).buffer);
    },
    close: async () => undefined,
  };
  await using whole = openCpu();
  await using inner = openCpu();
  const memory = { ...inner.kernels.memory, largestBinding: 48 };
  const results = [];
  for (const device of [whole, deviceWith(inner, { kernels: { memory } })]) {
    reads = 0;
    const lowered = lower(program, device.kernels);
    const parameters = await loadParameters(device, [lowered], source);
    const step = await device.compile(lowered, { parameters: parameters.tensors });
    step.run({ tokens: [5, 1] });
    results.push((await step.read('y')).y);
    expect(reads).toBe(1);
  }
  expect(results[1]).toEqual(results[0]);
});
