import {
  byteLength,
  DeviceError,
  isPacked,
  fitsDType,
  formatSpec,
  isShape,
  plan,
  sameDType,
  setElements,
  UsageError,
  type CompileOptions,
  type Device,
  type DeviceInfo,
  type DeviceTensor,
  type ElementRange,
  type Executable,
  type HostArray,
  type KernelTable,
  type Program,
  type TensorSpec,
} from '@rwkv-js/tensor';
import { CpuExecutable, type CpuQueue } from './executable.ts';
import { cpuKernels } from './kernels.ts';
import { allocateBytes, arrayOver, CpuTensor } from './tensor.ts';

export interface CpuOptions {
  /** What f32 values are computed and kept in. f64 is slower and takes twice the memory. */
  readonly precision?: 'f32' | 'f64';
}

/**
 * Opens the reference device: plain loops on the calling thread, the same bits on every machine. It
 * defines what each operation means; other devices are held against it.
 *
 * Work is done within `run`, so the calling thread is busy until it returns.
 */
export function openCpu(options: CpuOptions = {}): Device {
  return new CpuDevice(options.precision ?? 'f32');
}

class CpuDevice implements Device, CpuQueue {
  readonly info: DeviceInfo;
  readonly kernels: KernelTable;
  readonly precision: 'f32' | 'f64';
  readonly lost: Promise<DeviceError>;
  readonly tensors = new Set<CpuTensor>();
  readonly executables = new Set<CpuExecutable>();
  #lose!: (error: DeviceError) => void;
  #error: DeviceError | undefined;
  #arena = new ArrayBuffer(0);
  #disposed = false;

  constructor(precision: 'f32' | 'f64') {
    this.precision = precision;
    this.kernels = cpuKernels(precision);
    this.info = { name: 'cpu', description: `reference loops in ${precision}, one thread` };
    this.lost = new Promise((resolve) => {
      this.#lose = resolve;
    });
  }

  allocate(spec: TensorSpec, options: { layout?: string; label?: string } = {}): DeviceTensor {
    this.check();
    const { label = formatSpec(spec), layout = 'row-major' } = options;
    if (layout !== 'row-major' || !isShape(spec.shape)) {
      throw new UsageError(
        `device cpu cannot allocate '${label}' as ${formatSpec(spec)} ${layout}; ` +
          'it keeps tensors row-major, and sizes are whole numbers from 0',
      );
    }
    const bytes = allocateBytes(this.kernels.memory.byteLength(spec), label);
    return new CpuTensor(this, spec, label, arrayOver(spec, this.precision, bytes, 0));
  }

  write(tensor: DeviceTensor, data: HostArray, range?: ElementRange): void {
    const { array, start, count } = this.#range(tensor, range, 'write');
    if (data.length !== count) {
      throw new UsageError(
        `tensor '${tensor.label}' was given ${data.length} elements to write; the range holds ${count}`,
      );
    }
    if (!fitsDType(data, tensor.spec.dtype)) {
      throw new UsageError(
        `tensor '${tensor.label}' was given ${data.constructor.name} elements to write; ` +
          `it is ${formatSpec(tensor.spec)}`,
      );
    }
    this.run(() => setElements(array, tensor.spec.dtype, data, start));
  }

  async read(tensor: DeviceTensor, range?: ElementRange): Promise<HostArray> {
    const { array, start, count } = this.#range(tensor, range, 'read');
    this.settle();
    return array.slice(start, start + count);
  }

  copy(from: DeviceTensor, to: DeviceTensor, fromRange: ElementRange, toStart: number): void {
    const source = this.#range(from, fromRange, 'copy');
    const target = this.#range(to, { start: toStart, count: source.count }, 'copy');
    if (!sameDType(from.spec.dtype, to.spec.dtype)) {
      throw new UsageError(
        `copy from '${from.label}' ${formatSpec(from.spec)} to '${to.label}' ` +
          `${formatSpec(to.spec)}: both must have one dtype`,
      );
    }
    const elements = source.array.subarray(source.start, source.start + source.count);
    this.run(() => target.array.set(elements, target.start));
  }

  async compile(program: Program, options: CompileOptions = {}): Promise<Executable> {
    this.check();
    this.settle();
    return new CpuExecutable(this, plan(program, this.kernels), options);
  }

  async dispose(): Promise<void> {
    this.#disposed = true;
    this.#arena = new ArrayBuffer(0);
    for (const executable of this.executables) executable.dispose();
    for (const tensor of this.tensors) tensor.dispose();
  }

  [Symbol.asyncDispose](): Promise<void> {
    return this.dispose();
  }

  arena(bytes: number, label: string): ArrayBuffer {
    if (bytes > this.#arena.byteLength) this.#arena = allocateBytes(bytes, label);
    return this.#arena;
  }

  check(): void {
    if (!this.#disposed) return;
    throw new UsageError('device cpu was disposed; open a new one with openCpu()');
  }

  run(work: () => void): void {
    if (this.#error) return;
    try {
      work();
    } catch (error) {
      this.#error =
        error instanceof DeviceError
          ? error
          : new DeviceError(`device cpu failed: ${String(error)}`, { cause: error });
      this.#lose(this.#error);
    }
  }

  settle(): void {
    if (this.#error) throw this.#error;
  }

  #range(
    tensor: DeviceTensor,
    range: ElementRange | undefined,
    doing: string,
  ): { readonly array: HostArray; readonly start: number; readonly count: number } {
    this.check();
    if (!(tensor instanceof CpuTensor) || (!tensor.disposed && !this.tensors.has(tensor))) {
      throw new UsageError(
        `cannot ${doing} '${tensor.label}': it belongs to another device; use that one`,
      );
    }
    const total = tensor.data.length;
    const { start, count } = range ?? { start: 0, count: total };
    if (isPacked(tensor.spec.dtype) && !(start === 0 && count === total)) {
      throw new UsageError(
        `cannot ${doing} a part of '${tensor.label}' ${formatSpec(tensor.spec)}; ` +
          `packed tensors are taken whole, as ${total} bytes`,
      );
    }
    const whole = Number.isInteger(start) && Number.isInteger(count);
    if (!(whole && start >= 0 && count >= 0 && start + count <= total)) {
      throw new UsageError(
        `cannot ${doing} elements ${start} to ${start + count} of '${tensor.label}'; it has ${total} ` +
          `(${byteLength(tensor.spec)} bytes)`,
      );
    }
    return { array: tensor.data, start, count };
  }
}
