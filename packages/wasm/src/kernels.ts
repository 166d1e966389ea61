import {
  byteLength,
  plainLaunch,
  type KernelLaunch,
  type KernelTable,
  type OperationView,
} from '@rwkv-js/tensor';
import type { KernelName } from './kernel-names.ts';
import { alignment } from './heap.ts';
import { addressSpace } from './control.ts';
import { launchElementWise } from './kernels/element-wise.ts';
import { launchLinear, linearOperations } from './kernels/linear.ts';
import { launchMove } from './kernels/moves.ts';
import { launchNorm } from './kernels/norms.ts';
import { launchTimeMix7 } from './kernels/time-mix7.ts';
import { launchTime } from './kernels/time.ts';
import { weightLayout } from './layouts.ts';
import { referenceOperations } from './reference-operations.ts';

/** How an operation runs as a kernel of this device. */
interface WasmLaunch {
  readonly kernel: KernelName;
  readonly scalars: readonly number[];
  /** Bytes of working memory for each worker, and as many for all together. */
  readonly scratchBytes?: number;
}

/** Finds the kernel for an operation, or gives undefined for what it does not take. */
export type Launcher = (operation: OperationView) => WasmLaunch | undefined;

const launchers: Readonly<Record<string, Launcher>> = {
  ...launchElementWise,
  ...launchNorm,
  ...launchMove,
  ...launchLinear,
  ...launchTime,
  ...launchTimeMix7,
};

/** The kernel table of this device, whatever the number of its workers. */
export const wasmKernels: KernelTable = {
  name: 'wasm',
  memory: {
    arena: true,
    alignment,
    largestBinding: addressSpace,
    bindings: Infinity,
    byteLength,
  },
  // A chunk of 64 widens weights seldom enough, and is done soon enough for a signal to be seen.
  tokenBuckets: [1, 4, 16, 64],
  // Whole numbers are twice as fast here, and exact.
  activations: 'q8',
  // A readback costs some ten microseconds.
  stepsPerReadback: 1,
  launch(operation): KernelLaunch | undefined {
    const { definition } = operation;
    const launch = Object.hasOwn(launchers, definition.name)
      ? launchers[definition.name]!(operation)
      : undefined;
    if (launch) return { ...plainLaunch(operation), scratchBytes: 0, ...launch };
    // Composites are lowered; operations that the workers do not know are nothing this device can run.
    if (!referenceOperations.get(definition.name)?.reference) return undefined;
    return { ...plainLaunch(operation), kernel: 'reference' };
  },
  parameterLayout({ name }, argument, spec) {
    const isWeight =
      name === 'timeMix7Project' ? argument > 0 : linearOperations.has(name) && argument === 1;
    return isWeight ? weightLayout(spec) : 'row-major';
  },
};
