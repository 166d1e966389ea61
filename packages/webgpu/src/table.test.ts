import { readConfig, recordStep, releasedShapes, rwkv7Entries } from '@rwkv-js/language';
import {
  costOf,
  idealKernels,
  plan,
  fromParameters,
  viewOf,
  type KernelTable,
  type Program,
} from '@rwkv-js/tensor';
import { expect, test } from 'vitest';
import type { Capabilities } from './kernel.ts';
import { kernelFor, webGpuKernels } from './table.ts';

/** What Chromium has on a common adapter. */
const common: Capabilities = {
  subgroups: true,
  narrowestSubgroup: 32,
  integerDot: true,
  threads: 256,
  workgroupMemory: 32768,
  bindings: 10,
  largestBinding: 2 ** 31 - 4,
};

/** The step of one token of one sequence of the 1.5B model, or of one of another depth. */
function stepOf(layers?: number): Program {
  const tensors = rwkv7Entries(releasedShapes['1.5b']!, 'f16');
  const config = readConfig({ label: 'shapes', tensors });
  const dtypes = new Map([...tensors].map(([name, { dtype }]) => [name, dtype]));
  const sizes = { ...config, layers: layers ?? config.layers };
  return recordStep(sizes, dtypes, { tokens: 1, slots: 1, rows: 1 });
}

function dispatchesOf(program: Program): number {
  const made = plan(program, webGpuKernels(common));
  const parameters = fromParameters(made.program);
  return made.calls
    .map(({ operation }) => viewOf(made.program, made.program.operations[operation]!, parameters))
    .reduce((sum, view) => sum + kernelFor(view, common)!.passes.length, 0);
}

test('a layer of RWKV-7 takes eight dispatches for one token of one sequence', () => {
  expect(dispatchesOf(stepOf(4)) - dispatchesOf(stepOf(3))).toBe(8);
});

test('a step moves at most a tenth more than what it must', () => {
  const moved = (table: KernelTable): number => {
    const { bytesRead, bytesWritten } = costOf(plan(stepOf(), table));
    return bytesRead + bytesWritten;
  };
  expect(moved(webGpuKernels(common)) / moved(idealKernels)).toBeLessThanOrEqual(1.1);
});

test('what takes more buffers than an adapter binds is lowered', () => {
  const few = { ...common, bindings: 8 };
  const kernels = plan(stepOf(1), webGpuKernels(common)).calls.map(({ kernel }) => kernel);
  expect(kernels).toContain('timeMix7Project');
  expect(() => plan(stepOf(1), webGpuKernels(few))).toThrow(/binds 8 to a kernel/);
});
