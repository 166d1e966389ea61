export { openWebGpu, type WebGpuOptions } from './open.ts';
export { webGpuKernels } from './table.ts';
export type { Capabilities } from './kernel.ts';
export type { WebGpuDevice } from './device.ts';
