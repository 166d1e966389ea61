import { kernelNames } from '../kernel-names.ts';

/** A kernel: does this worker's share, given where its buffers' addresses and its scalars lie. */
type Kernel = (buffers: number, scalars: number) => void;

/** The WebAssembly module over a memory, as one worker sees it. */
export interface Kernels {
  readonly memory: WebAssembly.Memory;
  /** In the order of `kernelNames`. */
  readonly kernels: readonly Kernel[];
  join(place: number, count: number): void;
  useScratch(base: number, stride: number): void;
  barrier(): void;
  packMatrix(matrix: number, rows: number, columns: number, form: number, scratch: number): void;
}

export async function instantiate(
  module: WebAssembly.Module,
  memory: WebAssembly.Memory,
): Promise<Kernels> {
  const { exports } = await WebAssembly.instantiate(module, { env: { memory } });
  const named = exports as Readonly<Record<string, Kernel>> & Omit<Kernels, 'kernels' | 'memory'>;
  return {
    memory,
    kernels: kernelNames.map((name) => named[name]!),
    join: named.join,
    useScratch: named.useScratch,
    barrier: named.barrier,
    packMatrix: named.packMatrix,
  };
}
