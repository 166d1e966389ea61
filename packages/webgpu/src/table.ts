import { plainLaunch, type KernelTable, type OperationView } from '@rwkv-js/tensor';
import { boundBytes, type Capabilities, type Kernel } from './kernel.ts';
import { kernelMakers } from './kernels/index.ts';
import { parameterLayout, viewInMemory } from './layouts.ts';

/** The kernel for an operation on an adapter, or undefined when there is none. */
export function kernelFor(
  operation: OperationView,
  capabilities: Capabilities,
): Kernel | undefined {
  const { definition, inputs, outputs } = operation;
  const kernel = kernelMakers.get(definition.name)?.(viewInMemory(operation), capabilities);
  if (!kernel) return undefined;
  // A state is written where it lies; what takes more buffers than there are is lowered.
  const inPlace = definition.inPlace ? 1 : 0;
  const all = inputs.length + outputs.length - inPlace + (kernel.scratchBytes ? 1 : 0);
  const bindings = Math.max(
    ...kernel.passes.map(({ uses }) =>
      uses ? uses.arguments.length + (uses.scratch ? 1 : 0) : all,
    ),
  );
  return definition.lower && bindings > capabilities.bindings ? undefined : kernel;
}

/**
 * The kernel table of an adapter.
 *
 * Memory is one arena; every length is a multiple of 16 bytes, so that kernels may read vectors.
 */
export function webGpuKernels(capabilities: Capabilities): KernelTable {
  return {
    name: 'webgpu',
    memory: {
      arena: true,
      alignment: 256,
      largestBinding: capabilities.largestBinding,
      bindings: capabilities.bindings,
      byteLength: boundBytes,
    },
    tokenBuckets: [1, 4, 16, 32, 64, 256, 1024],
    activations: 'q8',
    stepsPerReadback: 8,
    launch(operation) {
      const kernel = kernelFor(operation, capabilities);
      if (!kernel) return undefined;
      const plain = plainLaunch(operation);
      const cost = { ...plain.cost, ...kernel.cost };
      return {
        ...plain,
        grid: kernel.passes[0]!.grid,
        scratchBytes: kernel.scratchBytes ?? 0,
        cost: {
          ...cost,
          bytesRead: cost.bytesRead + (kernel.again?.bytesRead ?? 0),
          bytesWritten: cost.bytesWritten + (kernel.again?.bytesWritten ?? 0),
        },
      };
    },
    parameterLayout,
  };
}
