import type { TensorSpec } from '@rwkv-js/tensor';
import { boundBytes } from './kernel.ts';
import { transposePasses } from './kernels/move.wgsl.ts';
import type { Pipelines } from './pipelines.ts';
import { shaderOf, type Binding } from './shader.ts';

const bindings: readonly Binding[] = [
  { arguments: [0], access: 'read' },
  { arguments: [1], access: 'read_write' },
];

/**
 * Queues the way of a plain matrix from one buffer into another with its axes exchanged: how a layout by
 * columns is written and read.
 *
 * @param spec the matrix in `source`
 */
export function transposeBetween(
  { gpu, pipelines }: { readonly gpu: GPUDevice; readonly pipelines: Pipelines },
  spec: TensorSpec,
  { source, target }: { readonly source: GPUBuffer; readonly target: GPUBuffer },
): void {
  const turned = { dtype: spec.dtype, shape: spec.shape.toReversed() };
  const encoder = gpu.createCommandEncoder();
  const pass = encoder.beginComputePass();
  for (const one of transposePasses({ inputs: [spec], outputs: [turned] })) {
    const shader = shaderOf(one, [spec], [turned], bindings, 0)!;
    const { pipeline, layout } = pipelines.now(shader, 'transpose');
    const entries = [source, target].map((buffer, binding) => ({
      binding,
      resource: { buffer, size: boundBytes(spec) },
    }));
    pass.setPipeline(pipeline);
    pass.setBindGroup(0, gpu.createBindGroup({ layout, entries }));
    pass.dispatchWorkgroups(...one.grid);
  }
  pass.end();
  gpu.queue.submit([encoder.finish()]);
}
