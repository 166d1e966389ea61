import {
  byteLength,
  fitsDType,
  formatSpec,
  isPacked,
  isShape,
  plan,
  sameDType,
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
import { arrayOver, bytesOf, countOf, emptyArray, sizeOf } from './elements.ts';
import { WasmExecutable } from './executable.ts';
import { wasmKernels } from './kernels.ts';
import {
  fitsLayout,
  packingForm,
  packingScratch,
  placesInPanels,
  unpackPanels,
} from './layouts.ts';
import { Region, type Team } from './team.ts';
import { WasmTensor, type TensorOwner } from './tensor.ts';

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
    const { label = formatSpec(spec), layout = 'row-major' } = options;
    if (!isShape(spec.shape) || !fitsLayout(spec, layout)) {
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
    const { spec } = own;
    if (data.length !== count) {
      throw new UsageError(
        `tensor '${tensor.label}' was given ${data.length} elements to write; the range holds ${count}`,
      );
    }
    if (!fitsDType(data, spec.dtype)) {
      throw new UsageError(
        `tensor '${tensor.label}' was given ${data.constructor.name} elements to write; ` +
          `it is ${formatSpec(spec)}`,
      );
    }
    let elements = data;
    if (data.constructor !== emptyArray(spec, 0).constructor) {
      elements = emptyArray(spec, count);
      setElements(elements, spec.dtype, data);
    }
    const size = sizeOf(spec);
    if (own.layout === 'row-major') {
      this.team.write(own.address + start * size, bytesOf(elements));
    } else if (count === countOf(spec)) {
      this.#pack(own, elements);
    } else {
      // Part of a matrix in panels: element by element.
      const place = placesInPanels(spec);
      for (let i = 0; i < count; i++) {
        const at = own.address + place(start + i) * size;
        this.team.write(at, bytesOf(elements.subarray(i, i + 1)));
      }
    }
  }

  /** Brings a whole matrix into memory as it is, and has it packed there. */
  #pack(
    { address, spec, layout, label, byteLength: bytes }: WasmTensor,
    elements: HostArray,
  ): void {
    const [rows, columns] = spec.shape as [number, number];
    const form = packingForm(spec, layout);
    const scratchBytes = packingScratch(spec, bytes);
    const scratch = this.team.take(scratchBytes, `packing ${label}`);
    this.team.write(address, bytesOf(elements));
    this.team.send({ kind: 'pack', address, rows, columns, form, scratch });
    this.team.give(scratch, scratchBytes);
  }

  async read(tensor: DeviceTensor, range?: ElementRange): Promise<HostArray> {
    const { own, start, count } = this.#range(tensor, range, 'read');
    const { spec, layout, address } = own;
    const size = sizeOf(spec);
    // A matrix in panels is brought here whole.
    const part = layout === 'row-major' ? { start, count } : { start: 0, count: countOf(spec) };
    const [bytes] = await this.team.read([
      { address: address + part.start * size, byteLength: part.count * size },
    ]);
    const elements = arrayOver(spec, bytes!);
    if (layout === 'row-major') return elements;
    if (isPacked(spec.dtype)) {
      return unpackPanels({ ...spec, dtype: spec.dtype }, layout, elements as Uint8Array);
    }
    const place = placesInPanels(spec);
    const result = emptyArray(spec, count);
    for (let i = 0; i < count; i++) result[i] = elements[place(start + i)]!;
    return result;
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
    const size = sizeOf(from.spec);
    const packed = isPacked(from.spec.dtype);
    if (packed && from.layout !== to.layout) {
      throw new UsageError(
        `copy from '${from.label}' ${from.layout} to '${to.label}' ${to.layout}: packed tensors are ` +
          'copied between those of one layout',
      );
    }
    if (packed || (source.own.layout === 'row-major' && target.own.layout === 'row-major')) {
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
    const total = countOf(tensor.spec);
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
    void tensor.address; // a disposed tensor is told here
    return { own: tensor, start, count };
  }
}
