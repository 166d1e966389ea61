import { cpuKernels, exp, linear, negate, scale } from '@rwkv-js/core';
import { describe, expect, test } from 'vitest';
import { costOf, idealKernels, NullDevice } from './null-device.ts';
import { loadParameters } from './parameters.ts';
import { plan } from './plan.ts';
import { record } from './record.ts';
import { f16, f32 } from './spec.ts';
import { allocateStates } from './states.ts';

const program = record('step', (recorder) => {
  const state = recorder.state('s', f32(8));
  recorder.update(state, scale(state, { factor: 2 }));
  const y = linear(recorder.input('x', f32(2, 4)), recorder.parameter('w', f16(3, 4)));
  return { y: negate(exp(negate(y))) };
});

describe('costOf', () => {
  test('adds up what the calls move and what the buffers take', () => {
    const cost = costOf(plan(program, cpuKernels('f32')));
    const rows = 4 * 2 * 3;
    expect(cost).toEqual({
      calls: 5,
      bytesRead: 32 + (32 + 24) + 3 * rows,
      bytesWritten: 32 + rows + 3 * rows,
      operations: 8 + 48 + 3 * 6,
      // Input, output, and two intermediate values at a time.
      memory: { parameters: 24, states: 32, activations: 32 + rows + 2 * rows },
    });
  });
});

describe('NullDevice', () => {
  test('loads, compiles and runs without memory, and counts what it would take', async () => {
    await using device = new NullDevice(idealKernels);
    const source = {
      label: 'zeros',
      tensors: new Map([['w', { dtype: 'f16' as const, shape: [3, 4] }]]),
      metadata: new Map(),
      read: async () => new Uint8Array(24),
      close: async () => undefined,
    };
    const parameters = await loadParameters(device, [program], source);
    const states = allocateStates(device, [program]);
    expect(device.allocatedBytes).toBe(24 + 32);
    const step = await device.compile(program, {
      parameters: parameters.tensors,
      states: states.tensors,
    });
    step.run({ x: new Float32Array(8) });
    expect(await step.read('y')).toEqual({ y: new Float32Array(6) });
    parameters.dispose();
    states.dispose();
    states.dispose();
    expect(device.allocatedBytes).toBe(0);
  });
});
