import type { KernelMaker } from '../kernel.ts';
import { drawnKernels } from './drawn.wgsl.ts';
import { elementWiseKernels } from './element-wise.wgsl.ts';
import { linearKernels } from './linear.ts';
import { lossKernels } from './losses.wgsl.ts';
import { moveKernels } from './move.wgsl.ts';
import { normShiftMix } from './norm-shift-mix.wgsl.ts';
import { normKernels } from './norms.wgsl.ts';
import { quantize } from './quantize.wgsl.ts';
import { rowKernels } from './rows.wgsl.ts';
import { sample } from './sample.wgsl.ts';
import { sumKernels } from './sums.wgsl.ts';
import { timeMix7RaiseRecur } from './time-mix7-raise-recur.wgsl.ts';
import { timeMix7Recur } from './time-mix7-recur.wgsl.ts';
import { timeMix7Kernels } from './time-mix7.ts';
import { tokenShiftKernels } from './token-shift.wgsl.ts';
import { wkv4Kernels } from './wkv4.wgsl.ts';
import { wkv56Kernels } from './wkv5-wkv6.wgsl.ts';
import { wkv7Kernels } from './wkv7.wgsl.ts';

/** Every kernel of the device, by the name of the operation that it runs. */
export const kernelMakers: ReadonlyMap<string, KernelMaker> = new Map(
  Object.entries({
    ...elementWiseKernels,
    ...moveKernels,
    ...normKernels,
    ...sumKernels,
    ...rowKernels,
    ...lossKernels,
    ...drawnKernels,
    ...tokenShiftKernels,
    ...wkv4Kernels,
    ...wkv56Kernels,
    ...wkv7Kernels,
    ...linearKernels,
    ...timeMix7Kernels,
    normShiftMix,
    timeMix7RaiseRecur,
    timeMix7Recur,
    quantize,
    sample,
  }),
);
