import { readConfig, recordStep, releasedShapes, rwkv7Entries } from '@rwkv-js/language';
import { plan, viewOf } from '@rwkv-js/tensor';
import { expect, test } from 'vitest';
import type { Capabilities } from './kernel.ts';
import { kernelFor, webGpuKernels } from './table.ts';

/** What Chromium has on a common adapter. */
const common: Capabilities = {
  subgroups: true,
  narrowestSubgroup: 32,
  threads: 256,
  workgroupMemory: 32768,
  bindings: 10,
  largestBinding: 2 ** 31 - 4,
};

test('a layer of RWKV-7 takes at most nine dispatches for one token of one sequence', () => {
  const tensors = rwkv7Entries(releasedShapes['1.5b']!, 'f16');
  const config = readConfig({ label: 'shapes', tensors });
  const dtypes = new Map([...tensors].map(([name, { dtype }]) => [name, dtype]));
  const step = recordStep(config, dtypes, { tokens: 1, slots: 1, rows: 1 });
  const made = plan(step, webGpuKernels(common));
  const dispatches = made.calls.map(({ operation }) => {
    const view = viewOf(made.program, made.program.operations[operation]!);
    return kernelFor(view, common)!.passes.length;
  });
  const all = dispatches.reduce((sum, count) => sum + count, 0);
  // What is outside of the layers: embedding, two norms, sampling, score.
  const outside = 9;
  expect((all - outside) / config.layers).toBeLessThanOrEqual(9);
  expect(made.calls.length).toBe(config.layers * 8 + 8);
});
