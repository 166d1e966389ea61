import { timeMix7Recur } from '@rwkv-js/core';
import {
  readConfig,
  recordStep,
  releasedShapes,
  rwkv7Entries,
  weightsIn,
  type WeightFormat,
} from '@rwkv-js/language';
import {
  costOf,
  f32,
  i32,
  record,
  idealKernels,
  plan,
  fromParameters,
  viewOf,
  type KernelTable,
  type Program,
} from '@rwkv-js/tensor';
import { specificationWeights } from '@rwkv-js/testing';
import {
  officialOptimizer,
  recordAccumulate,
  recordApply,
  recordForward,
  weightsOf,
} from '@rwkv-js/train';
import { expect, test } from 'vitest';
import { commonAdapter } from '../test/common-adapter.ts';
import { kernelFor, webGpuKernels } from './table.ts';

/** The step of one token of one sequence of a model, or of one of another depth. */
function stepOf(layers?: number, size = '1.5b', format: WeightFormat = 'f16'): Program {
  const { tensors } = weightsIn(format, {
    label: 'shapes',
    tensors: rwkv7Entries(releasedShapes[size]!, 'f16'),
    metadata: new Map(),
    read: () => Promise.reject(new Error('only shapes are asked for')),
    close: async () => undefined,
  });
  const config = readConfig({ label: 'shapes', tensors });
  const dtypes = new Map([...tensors].map(([name, { dtype }]) => [name, dtype]));
  const sizes = { ...config, layers: layers ?? config.layers };
  const { activations } = webGpuKernels(commonAdapter);
  return recordStep(sizes, dtypes, { tokens: 1, slots: 1, rows: 1, activations });
}

function dispatchesOf(program: Program): number {
  const made = plan(program, webGpuKernels(commonAdapter));
  const parameters = fromParameters(made.program);
  return made.calls
    .map(({ operation }) => viewOf(made.program, made.program.operations[operation]!, parameters))
    .reduce((sum, view) => sum + kernelFor(view, commonAdapter)!.passes.length, 0);
}

test.each([
  ['1.5b', 'f16', 7],
  // Columns are left out of the value matrix, and what is left of it is added up.
  ['7.2b', 'f16', 8],
  ['1.5b', 'q8', 8],
  ['7.2b', 'q4', 8],
] as const)(
  'a layer of RWKV-7 %s in %s takes %i dispatches for one token',
  (size, format, most) => {
    const [four, three] = [4, 3].map((layers) => dispatchesOf(stepOf(layers, size, format)));
    expect(four! - three!).toBe(most);
  },
);

test('a step moves at most a tenth more than what it must', () => {
  const moved = (table: KernelTable): number => {
    const { bytesRead, bytesWritten } = costOf(plan(stepOf(), table));
    return bytesRead + bytesWritten;
  };
  expect(moved(webGpuKernels(commonAdapter)) / moved(idealKernels)).toBeLessThanOrEqual(1.1);
});

test.each(['5.0', '5.1', '5.2', '6', '7'] as const)(
  'a training step of RWKV-%s takes no more buffers than Chromium binds',
  (version) => {
    const source = specificationWeights(version);
    const forward = recordForward(readConfig(source), source.tensors, { tokens: 12, slots: 3 });
    const weights = weightsOf(forward);
    const step = recordAccumulate(forward, weights.keys());
    const apply = recordApply(weights, officialOptimizer(version));
    for (const program of [forward, step, apply]) {
      expect(plan(program, webGpuKernels(commonAdapter)).calls.length).toBeGreaterThan(10);
    }
  },
);

test.each([
  { tokens: 1024, slots: 1, passes: 3 },
  { tokens: 256, slots: 8, passes: 3 },
  { tokens: 256, slots: 16, passes: 1 },
  { tokens: 64, slots: 1, passes: 1 },
  { tokens: 1, slots: 1, passes: 1 },
])(
  'the recurrence of $tokens tokens in $slots slots takes $passes dispatches',
  ({ tokens, slots, passes }) => {
    const program = record('recurrence', (g) => {
      const rows = ['r', 'decay', 'k', 'v', 'rate', 'gate'].map((name) =>
        g.input(name, f32(tokens, 128)),
      );
      const [r, decay, k, v, rate, gate] = rows;
      const perHead = g.parameter('vectors', f32(5, 128));
      const kept = g.state('kept', f32(slots, 2, 64, 64));
      const offsets = g.input('offsets', i32(slots + 1));
      const [y, next] = timeMix7Recur(r!, decay!, k!, v!, rate!, gate!, perHead, kept, offsets, {
        epsilon: 64e-5,
      });
      g.update(kept, next);
      return { y };
    });
    expect(dispatchesOf(program)).toBe(passes);
    // Its passes bind ten buffers at most, as many as Chromium has.
    expect(plan(program, webGpuKernels(commonAdapter)).calls).toHaveLength(1);
  },
);

test('what takes more buffers than an adapter binds is lowered', () => {
  const few = { ...commonAdapter, bindings: 8 };
  const kernels = plan(stepOf(1), webGpuKernels(commonAdapter)).calls.map(({ kernel }) => kernel);
  expect(kernels).toContain('timeMix7Project');
  expect(() => plan(stepOf(1), webGpuKernels(few))).toThrow(/binds 8 to a kernel/);
});
