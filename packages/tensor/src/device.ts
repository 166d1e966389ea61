import type { Elements } from './convert.ts';
import type { HostArray } from './dtype.ts';
import type { DeviceError } from './errors.ts';
import type { KernelTable } from './kernel-table.ts';
import type { Plan } from './plan.ts';
import type { Program } from './program.ts';
import type { TensorSpec } from './spec.ts';

/** What a device is, for people and for choosing. */
export interface DeviceInfo {
  /** Short name, as `--device` takes it: `cpu`. */
  readonly name: string;
  /** One line for people: the processor or adapter and what is special about it. */
  readonly description: string;
}

/** A tensor in a device's memory. The device owns it. */
export interface DeviceTensor {
  readonly spec: TensorSpec;
  /** How its elements lie; `row-major`, or a layout of the device's kernel table. */
  readonly layout: string;
  /** What errors call it. */
  readonly label: string;
  readonly disposed: boolean;
  /** Gives its memory back after the work that is queued. Idempotent. */
  dispose(): void;
}

/** A range of elements along a tensor's memory, row-major: `start` first, `count` many. */
export interface ElementRange {
  readonly start: number;
  readonly count: number;
}

/** Small arrays given to one run, by input name, as `setElements` takes them. */
export type RunInputs = Readonly<Record<string, Elements>>;

/** Tensors that a program is compiled against. */
export interface CompileOptions {
  /** Parameters by name; `loadParameters` makes them. */
  readonly parameters?: ReadonlyMap<string, DeviceTensor>;
  /** States by name; `allocateStates` makes them. Several executables share them. */
  readonly states?: ReadonlyMap<string, DeviceTensor>;
  /**
   * Check every run for what would otherwise show later or nowhere, at a cost in speed: outputs are
   * poisoned before they are written, and the operation that gives NaN or fails is named.
   */
  readonly debug?: boolean;
}

/** A program that is ready to run on a device. */
export interface Executable {
  readonly plan: Plan;
  /**
   * Queues one run and returns at once.
   *
   * A device that failed takes the run and does nothing; `read` tells.
   *
   * @throws UsageError when an input is missing, unknown, of the wrong length or of another dtype;
   * nothing is queued.
   */
  run(inputs: RunInputs): void;
  /**
   * The named outputs of the last run queued before this call, when it is done.
   *
   * @throws UsageError for an unknown name or when nothing has run; DeviceError when the device failed.
   */
  read<Name extends string>(...names: readonly Name[]): Promise<Record<Name, HostArray>>;
  /** Gives its memory back after the work that is queued. Idempotent. */
  dispose(): void;
}

/**
 * Something that runs programs: memory, one queue, and a table of kernels. What is queued runs in
 * order. The first failure sticks: everything that waits afterwards throws it.
 */
export interface Device extends AsyncDisposable {
  readonly info: DeviceInfo;
  readonly kernels: KernelTable;
  /** Resolves when the device fails for good; never rejects. */
  readonly lost: Promise<DeviceError>;
  /** @throws DeviceError when there is no memory for it. */
  allocate(spec: TensorSpec, options?: { layout?: string; label?: string }): DeviceTensor;
  /**
   * Queues writing of row-major elements, the whole tensor or a range of it.
   *
   * @throws UsageError for a range that is not in the tensor, elements that are not as many or of
   * another dtype, and tensors that were disposed or are another device's.
   */
  write(tensor: DeviceTensor, data: HostArray, range?: ElementRange): void;
  /**
   * Row-major elements of the tensor, or of a range of it, once the work queued before is done.
   *
   * @throws UsageError as `write` does; DeviceError when the device failed.
   */
  read(tensor: DeviceTensor, range?: ElementRange): Promise<HostArray>;
  /**
   * Queues a copy of elements between tensors of one dtype, row-major on both sides; within one
   * tensor the ranges may overlap.
   *
   * @throws UsageError as `write` does.
   */
  copy(from: DeviceTensor, to: DeviceTensor, fromRange: ElementRange, toStart: number): void;
  /**
   * Plans a program for this device and makes it ready to run.
   *
   * @throws UsageError when the device cannot run it or is not given the tensors it takes;
   * DeviceError without memory.
   */
  compile(program: Program, options?: CompileOptions): Promise<Executable>;
  /**
   * Waits for what is queued, then gives everything back, its tensors and executables included.
   * Idempotent.
   */
  dispose(): Promise<void>;
}
