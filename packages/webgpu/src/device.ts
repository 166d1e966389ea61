import {
  byteLength,
  DeviceError,
  elementCount,
  fitsDType,
  formatSpec,
  hostArray,
  isPacked,
  isShape,
  plan,
  sameDType,
  sameShape,
  setElements,
  UsageError,
  viewBytes,
  type CompileOptions,
  type Device,
  type DeviceInfo,
  type DeviceTensor,
  type DType,
  type ElementRange,
  type Executable,
  type HostArray,
  type KernelTable,
  type Program,
  type TensorSpec,
} from '@rwkv-js/tensor';
import { WebGpuExecutable, type BufferPart, type Parts, type WebGpuQueue } from './executable.ts';
import { boundBytes, type Capabilities } from './kernel.ts';
import { columns, fitsLayout, specInMemory } from './layouts.ts';
import { Pipelines } from './pipelines.ts';
import { Profile } from './profile.ts';
import { measureRoof } from './roof.ts';
import { webGpuKernels } from './table.ts';
import { WebGpuTensor } from './tensor.ts';
import { transposeBetween } from './transposer.ts';

/**
 * Dispatches that an adapter is handed first when it has no work: it begins while the rest is still being
 * encoded. One that is busy gets a run whole, as handing over takes time, too.
 */
const firstPart = 16;

/** What a device is made of. */
export interface WebGpuParts {
  readonly gpu: GPUDevice;
  readonly description: string;
  readonly capabilities: Capabilities;
  readonly submitEvery: number;
  readonly profile: boolean;
}

/** A device over one adapter; `openWebGpu` makes it. */
export class WebGpuDevice implements Device, WebGpuQueue {
  readonly info: DeviceInfo;
  readonly kernels: KernelTable;
  readonly lost: Promise<DeviceError>;
  readonly gpu: GPUDevice;
  readonly capabilities: Capabilities;
  readonly pipelines: Pipelines;
  readonly profile: Profile | undefined;
  readonly #submitEvery: number;
  readonly tensors = new Set<WebGpuTensor>();
  readonly executables = new Set<WebGpuExecutable>();
  readonly #shared = new Map<string, GPUBuffer>();
  #lose!: (error: DeviceError) => void;
  #error: DeviceError | undefined;
  /** Copies that wait for what comes next: handing over takes longer than a copy, and they come in crowds. */
  #copies: GPUCommandEncoder | undefined;
  /** True from a run until something was read: the adapter has work. */
  #isBusy = false;
  /** The executable that ran last, and the same where it ran twice on end: it will run again. */
  #latest: WebGpuExecutable | undefined;
  #repeated: WebGpuExecutable | undefined;
  #disposed = false;
  #disposing: Promise<void> | undefined;

  constructor({ gpu, description, capabilities, submitEvery, profile }: WebGpuParts) {
    this.gpu = gpu;
    this.capabilities = capabilities;
    this.info = { name: 'webgpu', description };
    this.kernels = webGpuKernels(capabilities);
    this.pipelines = new Pipelines(gpu);
    this.profile = profile ? new Profile(gpu) : undefined;
    this.#submitEvery = Math.min(submitEvery, this.profile?.capacity ?? Infinity);
    this.lost = new Promise((resolve) => {
      this.#lose = resolve;
    });
    gpu.addEventListener('uncapturederror', ({ error }) => {
      const memory = error instanceof GPUOutOfMemoryError;
      this.fail(
        new DeviceError(
          memory
            ? `device webgpu is out of memory: ${error.message}; use a smaller model or packed weights`
            : `device webgpu refused work: ${error.message}`,
        ),
      );
    });
    void gpu.lost.then(({ message }) => {
      if (this.#disposed) return;
      this.fail(
        new DeviceError(
          `device webgpu was lost: ${message || 'the platform gives no reason'}; ` +
            'open it again and restore sessions from their last saved states',
        ),
      );
    });
  }

  allocate(spec: TensorSpec, options: { layout?: string; label?: string } = {}): DeviceTensor {
    this.check();
    const { label = formatSpec(spec), layout = 'row-major' } = options;
    if (!isShape(spec.shape) || !fitsLayout(spec, layout)) {
      throw new UsageError(
        `device webgpu cannot allocate '${label}' as ${formatSpec(spec)} ${layout}; ` +
          'it has the layouts of its kernel table, and sizes are whole numbers from 0',
      );
    }
    const buffer = this.createBuffer(this.kernels.memory.byteLength(spec), label);
    return new WebGpuTensor(this, spec, layout, label, buffer);
  }

  write(tensor: DeviceTensor, data: HostArray, range?: ElementRange): void {
    const { buffer, start, count, size } = this.#range(tensor, range, 'write');
    const { dtype } = tensor.spec;
    if (data.length !== count) {
      throw new UsageError(
        `tensor '${tensor.label}' was given ${data.length} elements to write; the range holds ${count}`,
      );
    }
    if (!fitsDType(data, dtype)) {
      throw new UsageError(
        `tensor '${tensor.label}' was given ${data.constructor.name} elements to write; ` +
          `it is ${formatSpec(tensor.spec)}`,
      );
    }
    this.run(() => {
      const bytes = bytesOf(data, dtype);
      if (tensor.layout === columns) {
        this.#writeColumns(tensor.spec, buffer, bytes);
        return;
      }
      const whole = bytes.byteLength - (bytes.byteLength % 4);
      const { queue } = this.gpu;
      if (whole > 0) queue.writeBuffer(buffer, start * size, bytes, 0, whole);
      if (whole === bytes.byteLength) return;
      const tail = new Uint8Array(4);
      tail.set(bytes.subarray(whole));
      queue.writeBuffer(buffer, start * size + whole, tail);
    });
  }

  async read(tensor: DeviceTensor, range?: ElementRange): Promise<HostArray> {
    const { buffer, start, count, size } = this.#range(tensor, range, 'read');
    const { dtype } = tensor.spec;
    const byteCount = Math.ceil((count * size) / 4) * 4;
    const isTurned = tensor.layout === columns && count > 0;
    const rows = isTurned ? this.#rowsOf(tensor.spec, buffer) : buffer;
    const reading = this.readBytes([
      { buffer: rows, byteOffset: start * size, byteLength: byteCount },
    ]);
    if (isTurned) rows.destroy();
    const [bytes] = await reading;
    return isPacked(dtype) ? bytes!.slice(0, count) : viewBytes(dtype, bytes!).slice(0, count);
  }

  /** Writes a matrix that lies by columns: its rows are brought to the adapter and turned there. */
  #writeColumns(spec: TensorSpec, target: GPUBuffer, bytes: Uint8Array<ArrayBuffer>): void {
    if (bytes.byteLength === 0) return;
    const rows = this.gpu.createBuffer({
      size: boundBytes(spec),
      usage: GPUBufferUsage.STORAGE,
      mappedAtCreation: true,
    });
    new Uint8Array(rows.getMappedRange()).set(bytes);
    rows.unmap();
    transposeBetween(this, spec, { source: rows, target });
    rows.destroy();
  }

  /** The rows of a matrix that lies by columns, in a buffer that the caller destroys. */
  #rowsOf(spec: TensorSpec, source: GPUBuffer): GPUBuffer {
    this.handOver();
    const rows = this.createBuffer(boundBytes(spec), 'rows');
    transposeBetween(this, specInMemory(spec, columns), { source, target: rows });
    return rows;
  }

  copy(from: DeviceTensor, to: DeviceTensor, fromRange: ElementRange, toStart: number): void {
    const source = this.#range(from, fromRange, 'copy');
    const target = this.#range(to, { start: toStart, count: source.count }, 'copy');
    const turned = from.layout !== 'row-major' && !sameShape(from.spec.shape, to.spec.shape);
    if (!sameDType(from.spec.dtype, to.spec.dtype) || from.layout !== to.layout || turned) {
      throw new UsageError(
        `copy from '${from.label}' ${formatSpec(from.spec)} ${from.layout} to '${to.label}' ` +
          `${formatSpec(to.spec)} ${to.layout}: both must have one dtype and layout, and one shape where that is not row-major`,
      );
    }
    this.#attempt(() => {
      const { size } = source;
      const bytes = Math.ceil((source.count * size) / 4) * 4;
      if (bytes === 0) return;
      // WebGPU copies between different buffers only.
      const between =
        source.buffer === target.buffer ? this.shared('scratch', bytes, 'copy') : undefined;
      const encoder = (this.#copies ??= this.gpu.createCommandEncoder());
      encoder.copyBufferToBuffer(
        source.buffer,
        source.start * size,
        between ?? target.buffer,
        between ? 0 : target.start * size,
        bytes,
      );
      if (between) {
        encoder.copyBufferToBuffer(between, 0, target.buffer, target.start * size, bytes);
      }
    });
  }

  async compile(program: Program, options: CompileOptions = {}): Promise<Executable> {
    this.check();
    this.settle();
    return WebGpuExecutable.make(this, plan(program, this.kernels), options);
  }

  /** What the adapter's memory gives: bytes a second that a copy reads and writes, measured now. */
  roof(): Promise<number> {
    this.check();
    return measureRoof(this.gpu, this.pipelines);
  }

  /**
   * Where the time went since the device was opened with `profile: true`, or since this was asked last: a
   * line a kernel, with its share of the roof, which is what a copy moves.
   *
   * @throws UsageError on a device that was opened without it.
   */
  async profileReport(): Promise<string> {
    this.check();
    if (!this.profile) {
      throw new UsageError('device webgpu keeps no times; open it with { profile: true }');
    }
    const roof = await this.roof();
    const report = await this.profile.format(roof);
    await this.profile.reset();
    return `copy roof ${(roof / 1e9).toFixed(1)} GB/s\n${report}`;
  }

  dispose(): Promise<void> {
    this.#disposing ??= this.#dispose();
    return this.#disposing;
  }

  async #dispose(): Promise<void> {
    this.#disposed = true;
    this.handOver();
    if (!this.#error) await this.gpu.queue.onSubmittedWorkDone().catch(() => undefined);
    for (const executable of this.executables) executable.dispose();
    for (const tensor of this.tensors) tensor.dispose();
    for (const buffer of this.#shared.values()) buffer.destroy();
    this.gpu.destroy();
  }

  [Symbol.asyncDispose](): Promise<void> {
    return this.dispose();
  }

  createBuffer(bytes: number, label: string): GPUBuffer {
    if (bytes > this.gpu.limits.maxBufferSize) {
      throw new DeviceError(
        `device webgpu has no buffer of ${bytes} bytes for '${label}'; its largest is ` +
          `${this.gpu.limits.maxBufferSize}: use a smaller model or packed weights`,
      );
    }
    return this.gpu.createBuffer({
      size: bytes,
      label,
      usage: GPUBufferUsage.STORAGE | GPUBufferUsage.COPY_SRC | GPUBufferUsage.COPY_DST,
    });
  }

  shared(purpose: 'arena' | 'scratch', bytes: number, label: string): GPUBuffer {
    const known = this.#shared.get(purpose);
    if (known && known.size >= bytes) return known;
    this.handOver();
    const size = Math.min(Math.ceil(bytes / 256) * 256, this.gpu.limits.maxBufferSize);
    const buffer = this.createBuffer(size, `${purpose} of ${label}`);
    this.#shared.set(purpose, buffer);
    known?.destroy();
    return buffer;
  }

  async readBytes(parts: readonly BufferPart[]): Promise<readonly Uint8Array[]> {
    this.handOver();
    this.settle();
    const total = parts.reduce((sum, part) => sum + part.byteLength, 0);
    if (total === 0) return parts.map(() => new Uint8Array(0));
    const target = this.gpu.createBuffer({
      size: total,
      usage: GPUBufferUsage.MAP_READ | GPUBufferUsage.COPY_DST,
    });
    const encoder = this.gpu.createCommandEncoder();
    let at = 0;
    for (const { buffer, byteOffset, byteLength: bytes } of parts) {
      if (bytes > 0) encoder.copyBufferToBuffer(buffer, byteOffset, target, at, bytes);
      at += bytes;
    }
    this.gpu.queue.submit([encoder.finish()]);
    try {
      this.#repeated?.prepare({ first: firstPart, most: this.#submitEvery });
      await target.mapAsync(GPUMapMode.READ);
    } catch (cause) {
      target.destroy();
      this.settle();
      this.check();
      throw new DeviceError(`device webgpu gave nothing to read: ${String(cause)}`, { cause });
    }
    this.settle();
    this.#isBusy = false;
    const all = new Uint8Array(target.getMappedRange()).slice();
    target.destroy();
    at = 0;
    return parts.map((part) => all.slice(at, (at += part.byteLength)));
  }

  partsFor(executable: WebGpuExecutable): Parts {
    const first = this.#isBusy ? Infinity : firstPart;
    this.#isBusy = true;
    this.#repeated = this.#latest === executable ? executable : undefined;
    this.#latest = executable;
    return { first, most: this.#submitEvery };
  }

  check(): void {
    if (!this.#disposed) return;
    throw new UsageError('device webgpu was disposed; open a new one with openWebGpu()');
  }

  run(work: () => void): void {
    this.handOver();
    this.#attempt(work);
  }

  handOver(): void {
    const copies = this.#copies;
    this.#copies = undefined;
    if (copies) this.#attempt(() => this.gpu.queue.submit([copies.finish()]));
  }

  /** Does something now; the first error sticks and later work is not begun. */
  #attempt(work: () => void): void {
    if (this.#error) return;
    try {
      work();
    } catch (error) {
      this.fail(
        error instanceof DeviceError
          ? error
          : new DeviceError(`device webgpu failed: ${String(error)}`, { cause: error }),
      );
    }
  }

  fail(error: DeviceError): void {
    if (this.#error) return;
    this.#error = error;
    this.#lose(error);
  }

  /** Throws the error that stuck, if one did. */
  settle(): void {
    if (this.#error) throw this.#error;
  }

  #range(
    tensor: DeviceTensor,
    range: ElementRange | undefined,
    doing: string,
  ): { readonly buffer: GPUBuffer; readonly start: number; readonly count: number; size: number } {
    this.check();
    if (!(tensor instanceof WebGpuTensor) || (!tensor.disposed && !this.tensors.has(tensor))) {
      throw new UsageError(
        `cannot ${doing} '${tensor.label}': it belongs to another device; use that one`,
      );
    }
    const { dtype, shape } = tensor.spec;
    const { buffer } = tensor;
    const packed = isPacked(dtype);
    const total = packed ? byteLength(tensor.spec) : elementCount(shape);
    const { start, count } = range ?? { start: 0, count: total };
    const whole = Number.isInteger(start) && Number.isInteger(count);
    if (!(whole && start >= 0 && count >= 0 && start + count <= total)) {
      throw new UsageError(
        `cannot ${doing} elements ${start} to ${start + count} of '${tensor.label}'; it has ${total}`,
      );
    }
    if ((packed || tensor.layout !== 'row-major') && count !== total) {
      throw new UsageError(
        `cannot ${doing} a part of '${tensor.label}' ${formatSpec(tensor.spec)} ${tensor.layout}; ` +
          `packed tensors and those in a layout are taken whole, as ${total} ${packed ? 'bytes' : 'elements'}`,
      );
    }
    const size = packed ? 1 : dtype === 'f16' || dtype === 'bf16' ? 2 : 4;
    const half = size === 2 && (start % 2 !== 0 || (count % 2 !== 0 && start + count !== total));
    if (half) {
      throw new UsageError(
        `cannot ${doing} elements ${start} to ${start + count} of '${tensor.label}' ` +
          `${formatSpec(tensor.spec)}; device webgpu takes 16-bit elements in pairs`,
      );
    }
    return { buffer, start, count, size };
  }
}

/** Elements as the bytes of their dtype. */
function bytesOf(data: HostArray, dtype: DType): Uint8Array<ArrayBuffer> {
  let elements = data;
  if (!isPacked(dtype)) {
    const like = hostArray(dtype, 0);
    if (data.constructor !== like.constructor) {
      elements = hostArray(dtype, data.length);
      setElements(elements, dtype, data);
    }
  }
  return new Uint8Array(elements.buffer as ArrayBuffer, elements.byteOffset, elements.byteLength);
}
