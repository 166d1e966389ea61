export { wasmKernels } from './kernels.ts';
export { openWasm, type WasmOptions } from './open.ts';
