import { conformanceCases, programOf } from '@rwkv-js/testing';
import { lower, plan, fromParameters, viewOf } from '@rwkv-js/tensor';
import { afterAll, describe, expect, test } from 'vitest';
import { openWebGpu } from './index.ts';
import type { Capabilities } from './kernel.ts';
import { shaderOf } from './shader.ts';
import { kernelFor, webGpuKernels } from './table.ts';

// Dawn's null backend compiles and checks everything and runs nothing: it needs no driver.
const device = await openWebGpu({ dawn: ['backend=null'] });
afterAll(() => device.dispose());

const ample: Capabilities = {
  subgroups: true,
  narrowestSubgroup: 32,
  integerDot: true,
  threads: 1024,
  workgroupMemory: 32768,
  bindings: 10,
  largestBinding: 2 ** 31,
};

const kinds: readonly (readonly [string, Capabilities])[] = [
  ['with wide subgroups', ample],
  ['with narrow subgroups', { ...ample, narrowestSubgroup: 4, threads: 256 }],
  [
    'with the least that WebGPU promises',
    {
      ...ample,
      subgroups: false,
      narrowestSubgroup: 0,
      integerDot: false,
      threads: 256,
      workgroupMemory: 16384,
    },
  ],
];

describe.each(kinds)('shaders %s', (_, capabilities) => {
  test('compile, every one that a conformance case needs', async () => {
    const seen = new Set<string>();
    for (const one of conformanceCases) {
      const made = plan(
        lower(programOf(one), webGpuKernels(capabilities)),
        webGpuKernels(capabilities),
      );
      const parameters = fromParameters(made.program);
      for (const { operation, buffers } of made.calls) {
        const view = viewOf(made.program, made.program.operations[operation]!, parameters);
        const kernel = kernelFor(view, capabilities)!;
        const bindings = buffers.map((__, place) => ({
          arguments: [place],
          access: 'read_write' as const,
        }));
        for (const pass of kernel.passes) {
          const scratch = (kernel.scratchBytes ?? 0) > 0;
          const shader = shaderOf(pass, view.inputs, view.outputs, bindings, scratch);
          if (!shader || seen.has(shader.code)) continue;
          seen.add(shader.code);
          const module = device.gpu.createShaderModule({ code: shader.code });
          const { messages } = await module.getCompilationInfo();
          const errors = messages.filter(({ type }) => type === 'error');
          expect(
            errors.map(({ message, lineNum }) => `${one.op}, line ${lineNum}: ${message}`),
          ).toEqual([]);
        }
      }
    }
    expect(seen.size).toBeGreaterThan(100);
  });
});
