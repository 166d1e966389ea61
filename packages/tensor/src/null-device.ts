import type { CompileOptions, Device, DeviceTensor, Executable, RunInputs } from './device.ts';
import { isPacked, hostArray } from './dtype.ts';
import { UsageError } from './errors.ts';
import { plainLaunch, type KernelTable } from './kernel-table.ts';
import type { Cost } from './op.ts';
import { plan, type Plan } from './plan.ts';
import type { Program } from './program.ts';
import { byteLength, elementCount, formatSpec, type TensorSpec } from './spec.ts';

/** What a run of a plan takes, without running it. */
export interface PlanCost extends Cost {
  /** Kernels launched. */
  readonly calls: number;
  /** Bytes of the buffers by what they are for; views and values that share a place counted once. */
  readonly memory: Readonly<Record<'parameters' | 'states' | 'activations', number>>;
}

/** Counts what one run of a plan takes. Activations are inputs, outputs, intermediates and scratch. */
export function costOf({ buffers, calls }: Plan): PlanCost {
  const memory = { parameters: 0, states: 0, activations: 0 };
  for (const { kind, byteLength: bytes } of buffers) {
    if (kind === 'parameter') memory.parameters += bytes;
    else if (kind === 'state') memory.states += bytes;
    else memory.activations += bytes;
  }
  memory.activations += Math.max(0, ...calls.map(({ scratchBytes }) => scratchBytes));
  const total = { bytesRead: 0, bytesWritten: 0, operations: 0 };
  for (const { cost } of calls) {
    total.bytesRead += cost.bytesRead;
    total.bytesWritten += cost.bytesWritten;
    total.operations += cost.operations;
  }
  return { ...total, calls: calls.length, memory };
}

/**
 * A device that plans and counts with another device's table and computes nothing: what it would take
 * is known without the hardware, and without the memory. Everything that is read is zero.
 */
export class NullDevice implements Device {
  readonly info;
  readonly kernels: KernelTable;
  readonly lost = new Promise<never>(() => undefined);
  /** Bytes of all tensors that were allocated and not disposed. */
  allocatedBytes = 0;

  constructor(kernels: KernelTable) {
    this.kernels = kernels;
    this.info = {
      name: `null ${kernels.name}`,
      description: `counts for ${kernels.name}, runs nothing`,
    };
  }

  allocate(spec: TensorSpec, options: { layout?: string; label?: string } = {}): DeviceTensor {
    const bytes = this.kernels.memory.byteLength(spec);
    this.allocatedBytes += bytes;
    const free = (): void => {
      this.allocatedBytes -= bytes;
    };
    const label = options.label ?? formatSpec(spec);
    return new NullTensor(spec, options.layout ?? 'row-major', label, free);
  }

  write(): void {}

  async read({ spec }: DeviceTensor, range?: { count: number }): ReturnType<Device['read']> {
    return zeros(spec, range?.count);
  }

  copy(): void {}

  async compile(program: Program, _options?: CompileOptions): Promise<Executable> {
    return new NullExecutable(plan(program, this.kernels));
  }

  async dispose(): Promise<void> {}

  async [Symbol.asyncDispose](): Promise<void> {}
}

class NullTensor implements DeviceTensor {
  readonly spec: TensorSpec;
  readonly layout: string;
  readonly label: string;
  readonly #free: () => void;
  #disposed = false;

  constructor(spec: TensorSpec, layout: string, label: string, free: () => void) {
    this.spec = spec;
    this.layout = layout;
    this.label = label;
    this.#free = free;
  }

  get disposed(): boolean {
    return this.#disposed;
  }

  dispose(): void {
    if (!this.#disposed) this.#free();
    this.#disposed = true;
  }
}

class NullExecutable implements Executable {
  readonly plan: Plan;
  /** How often it was run. */
  runs = 0;

  constructor(made: Plan) {
    this.plan = made;
  }

  run(_inputs: RunInputs): void {
    this.runs += 1;
  }

  async read<Name extends string>(...names: readonly Name[]): ReturnType<Executable['read']> {
    return Object.fromEntries(
      names.map((name) => [name, zeros(this.plan.outputs.get(name)!.spec)]),
    );
  }

  dispose(): void {}
}

function zeros(spec: TensorSpec, count = elementCount(spec.shape)): ReturnType<typeof hostArray> {
  if (isPacked(spec.dtype)) throw new UsageError(`${formatSpec(spec)} cannot be read as numbers`);
  return hostArray(spec.dtype, count);
}

/**
 * A table that has a kernel for everything, composites too, with the bounds of WebGPU in a browser: 10
 * buffers a kernel, offsets of 256 bytes. What the best of devices would launch.
 */
export const idealKernels: KernelTable = {
  name: 'ideal',
  memory: {
    arena: true,
    alignment: 256,
    largestBinding: 2 ** 32,
    bindings: 10,
    byteLength,
  },
  tokenBuckets: [1, 4, 16, 64, 256],
  activations: 'f32',
  stepsPerReadback: 8,
  launch: (operation) => plainLaunch(operation),
  parameterLayout: () => 'row-major',
};
