import {
  byteLength,
  elementCount,
  fitsDType,
  formatSpec,
  hostArray,
  isShape,
  plan,
  setElements,
  UsageError,
  type CompileOptions,
  type Device,
  type DeviceError,
  type DeviceInfo,
  type DeviceTensor,
  type ElementRange,
  type Executable,
  type HostArray,
  type Program,
  type TensorSpec,
} from '@rwkv-js/tensor';
import { arrayOf, bytesOf } from './elements.ts';
import { WasmExecutable } from './executable.ts';
import { wasmKernels } from './kernels.ts';
import { panelRows, panels, placesInPanels } from './layouts.ts';
import { Region, type Team } from './team.ts';
import { plain, WasmTensor, type TensorOwner } from './tensor.ts';

/** The device of openWasm. */
export class WasmDevice implements Device, TensorOwner {
  readonly info: DeviceInfo;
  readonly kernels = wasmKernels;
  readonly tensors = new Set<WasmTensor>();
  readonly executables = new Set<WasmExecutable>();
  readonly team: Team;
  /** Memory for intermediate values and for kernels at work: one executable runs at a time. */
  readonly arena: Region;
  readonly scratch: Region;
  #disposed: Promise<void> | undefined;

  constructor(team: Team) {
    this.team = team;
    this.arena = new Region(team);
    this.scratch = new Region(team);
    const threads = team.size === 1 ? 'one thread' : `${team.size} threads`;
    this.info = { name: 'wasm', description: `WebAssembly with SIMD, ${threads}` };
  }

  get lost(): Promise<DeviceError> {
    return this.team.lost;
  }

  allocate(spec: TensorSpec, options: { layout?: string; label?: string } = {}): DeviceTensor {
    this.check();
    const dtype = plain(spec);
    const { label = formatSpec(spec), layout = 'row-major' } = options;
    const known =
      layout === 'row-major' ||
      (layout === panels && spec.shape.length === 2 && dtype !== 'i32' && dtype !== 'u32');
    if (!known || !isShape(spec.shape)) {
      throw new UsageError(
        `device wasm cannot allocate '${label}' as ${formatSpec(spec)} ${layout}; ` +
          'it has the layouts of its kernel table, and sizes are whole numbers from 0',
      );
    }
    const bytes = byteLength(spec);
    const address = this.team.take(bytes, label, { zero: true });
    return new WasmTensor(this, spec, { layout, label }, address, bytes);
  }

  release(address: number, bytes: number): void {
    this.team.give(address, bytes);
  }

  write(tensor: DeviceTensor, data: HostArray, range?: ElementRange): void {
    const { own, start, count } = this.#range(tensor, range, 'write');
    const dtype = plain(own.spec);
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
    let elements = data;
    if (data.constructor !== hostArray(dtype, 0).constructor) {
      elements = hostArray(dtype, count);
      setElements(elements, dtype, data);
    }
    const size = elements.BYTES_PER_ELEMENT;
    if (own.layout === 'row-major') {
      this.team.write(own.address + start * size, bytesOf(elements));
    } else if (count === elementCount(own.spec.shape)) {
      this.#pack(own, elements);
    } else {
      // Part of a matrix in panels: element by element.
      const place = placesInPanels(own.spec);
      for (let i = 0; i < count; i++) {
        this.team.write(
          own.address + place(start + i) * size,
          bytesOf(elements.subarray(i, i + 1)),
        );
      }
    }
  }

  /** Brings a whole matrix into memory as it is, and has it packed there. */
  #pack(tensor: WasmTensor, elements: HostArray): void {
    const [rows, columns] = tensor.spec.shape as [number, number];
    const size = elements.BYTES_PER_ELEMENT;
    const scratchBytes = panelRows * columns * size;
    const scratch = this.team.take(scratchBytes, `packing ${tensor.label}`);
    this.team.write(tensor.address, bytesOf(elements));
    this.team.send({ kind: 'pack', address: tensor.address, rows, columns, size, scratch });
    this.team.give(scratch, scratchBytes);
  }

  async read(tensor: DeviceTensor, range?: ElementRange): Promise<HostArray> {
    const { own, start, count } = this.#range(tensor, range, 'read');
    const dtype = plain(own.spec);
    const size = byteLength({ dtype, shape: [] });
    const whole =
      own.layout === 'row-major'
        ? { start, count }
        : { start: 0, count: elementCount(own.spec.shape) };
    const [bytes] = await this.team.read([
      { address: own.address + whole.start * size, byteLength: whole.count * size },
    ]);
    const elements = arrayOf(dtype, bytes!);
    if (own.layout === 'row-major') return elements;
    const place = placesInPanels(own.spec);
    const result = hostArray(dtype, count);
    for (let i = 0; i < count; i++) result[i] = elements[place(start + i)]!;
    return result;
  }

  copy(from: DeviceTensor, to: DeviceTensor, fromRange: ElementRange, toStart: number): void {
    const source = this.#range(from, fromRange, 'copy');
    const target = this.#range(to, { start: toStart, count: source.count }, 'copy');
    if (from.spec.dtype !== to.spec.dtype) {
      throw new UsageError(
        `copy from '${from.label}' ${formatSpec(from.spec)} to '${to.label}' ` +
          `${formatSpec(to.spec)}: both must have one dtype`,
      );
    }
    const size = byteLength({ dtype: plain(from.spec), shape: [] });
    if (source.own.layout === 'row-major' && target.own.layout === 'row-major') {
      this.team.send({
        kind: 'copy',
        from: source.own.address + source.start * size,
        to: target.own.address + toStart * size,
        byteLength: source.count * size,
      });
      return;
    }
    const placeOf = ({ own }: typeof source): ((element: number) => number) =>
      own.layout === 'row-major' ? (element) => element : placesInPanels(own.spec);
    const [fromPlace, toPlace] = [placeOf(source), placeOf(target)];
    // Ranges of one matrix may overlap: from the end where the target lies behind.
    const backwards = from === to && toStart > source.start;
    for (let i = 0; i < source.count; i++) {
      const at = backwards ? source.count - 1 - i : i;
      this.team.send({
        kind: 'copy',
        from: source.own.address + fromPlace(source.start + at) * size,
        to: target.own.address + toPlace(toStart + at) * size,
        byteLength: size,
      });
    }
  }

  async compile(program: Program, options: CompileOptions = {}): Promise<Executable> {
    this.check();
    this.team.check();
    return new WasmExecutable(this, plan(program, this.kernels), options);
  }

  dispose(): Promise<void> {
    this.#disposed ??= (async () => {
      await this.team.end();
      for (const executable of this.executables) executable.dispose();
      for (const tensor of this.tensors) tensor.dispose();
    })();
    return this.#disposed;
  }

  [Symbol.asyncDispose](): Promise<void> {
    return this.dispose();
  }

  /** @throws UsageError when the device was disposed. */
  check(): void {
    if (!this.#disposed) return;
    throw new UsageError('device wasm was disposed; open a new one with openWasm()');
  }

  #range(
    tensor: DeviceTensor,
    range: ElementRange | undefined,
    doing: string,
  ): { readonly own: WasmTensor; readonly start: number; readonly count: number } {
    this.check();
    if (!(tensor instanceof WasmTensor) || (!tensor.disposed && !this.tensors.has(tensor))) {
      throw new UsageError(
        `cannot ${doing} '${tensor.label}': it belongs to another device; use that one`,
      );
    }
    const total = elementCount(tensor.spec.shape);
    const { start, count } = range ?? { start: 0, count: total };
    const whole = Number.isInteger(start) && Number.isInteger(count);
    if (!(whole && start >= 0 && count >= 0 && start + count <= total)) {
      throw new UsageError(
        `cannot ${doing} elements ${start} to ${start + count} of '${tensor.label}'; it has ${total} ` +
          `(${byteLength(tensor.spec)} bytes)`,
      );
    }
    void tensor.address; // a disposed tensor is told here
    return { own: tensor, start, count };
  }
}
