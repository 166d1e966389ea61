import { conformanceCases, programOf } from '@rwkv-js/testing';
import { readConfig, recordStep, releasedShapes, rwkv7Entries, weightsIn } from '@rwkv-js/language';
import { lower, plan, fromParameters, viewOf, type Program } from '@rwkv-js/tensor';
import { afterAll, describe, expect, test } from 'vitest';
import { openWebGpu } from './index.ts';
import type { Capabilities } from './kernel.ts';
import { viewInMemory } from './layouts.ts';
import { shaderOf } from './shader.ts';
import { kernelFor, webGpuKernels } from './table.ts';

// Dawn's null backend compiles and checks everything and runs nothing: it needs no driver.
const device = await openWebGpu({ dawn: ['backend=null'] });
afterAll(() => device.dispose());

const ample: Capabilities = {
  subgroups: true,
  narrowestSubgroup: 32,
  subgroupMatrices: false,
  integerDot: true,
  threads: 1024,
  workgroupMemory: 32768,
  bindings: 10,
  largestBinding: 2 ** 31,
};

const kinds: readonly (readonly [string, Capabilities])[] = [
  ['with wide subgroups', ample],
  ['with matrices of subgroups', { ...ample, subgroupMatrices: true, workgroupMemory: 49152 }],
  ['with matrices and little memory', { ...ample, subgroupMatrices: true, workgroupMemory: 16384 }],
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

/** Every shader of a program with the errors that Dawn finds in it. */
async function errorsIn(
  program: Program,
  capabilities: Capabilities,
  seen: Set<string>,
): Promise<readonly string[]> {
  const made = plan(lower(program, webGpuKernels(capabilities)), webGpuKernels(capabilities));
  const parameters = fromParameters(made.program);
  const found: string[] = [];
  for (const { operation, buffers } of made.calls) {
    const view = viewOf(made.program, made.program.operations[operation]!, parameters);
    const kernel = kernelFor(view, capabilities)!;
    const { inputs, outputs } = viewInMemory(view);
    const bindings = buffers.map((_, place) => ({
      arguments: [place],
      access: 'read_write' as const,
    }));
    for (const pass of kernel.passes) {
      const shader = shaderOf(pass, inputs, outputs, bindings, kernel.scratchBytes ?? 0);
      if (!shader || seen.has(shader.code)) continue;
      seen.add(shader.code);
      const module = device.gpu.createShaderModule({ code: shader.code });
      const { messages } = await module.getCompilationInfo();
      for (const { type, message, lineNum } of messages) {
        if (type !== 'error') continue;
        found.push(`${view.definition.name}, line ${lineNum}: ${message}`);
      }
    }
  }
  return found;
}

describe.each(kinds)('shaders %s', (_, capabilities) => {
  test('compile, every one that a conformance case needs', async () => {
    const seen = new Set<string>();
    for (const one of conformanceCases) {
      expect(await errorsIn(programOf(one), capabilities, seen)).toEqual([]);
    }
    expect(seen.size).toBeGreaterThan(100);
  });

  test.each(['f16', 'q8', 'q4'] as const)(
    'compile, those of a large model in %s',
    async (format) => {
      const plain = { tensors: rwkv7Entries({ ...releasedShapes['7.2b']!, layers: 2 }, 'f16') };
      const { tensors } = weightsIn(format, {
        ...plain,
        label: 'shapes',
        metadata: new Map(),
        read: () => Promise.reject(new Error('only shapes are asked for')),
        close: async () => undefined,
      });
      const config = readConfig({ label: 'shapes', tensors });
      const dtypes = new Map([...tensors].map(([name, { dtype }]) => [name, dtype]));
      for (const tokens of [1, 4, 32, 256]) {
        const slots = Math.min(tokens, 32);
        const { activations } = webGpuKernels(capabilities);
        const step = recordStep(config, dtypes, { tokens, slots, rows: slots, activations });
        expect(await errorsIn(step, capabilities, new Set())).toEqual([]);
      }
    },
  );
});
