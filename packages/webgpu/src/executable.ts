import {
  bindTensors,
  checkRunInputs,
  byteLength as bytesIn,
  DeviceError,
  elementCount,
  hostArray,
  isPacked,
  setElements,
  UsageError,
  viewBytes,
  fromParameters,
  viewOf,
  type CompileOptions,
  type Executable,
  type HostArray,
  type KernelCall,
  type Plan,
  type PlanSlot,
  type RunInputs,
} from '@rwkv-js/tensor';
import type { Capabilities, Kernel, Pass } from './kernel.ts';
import { viewInMemory } from './layouts.ts';
import type { Pipeline, Pipelines } from './pipelines.ts';
import type { Profile } from './profile.ts';
import { shaderOf, type Binding } from './shader.ts';
import { kernelFor } from './table.ts';
import { WebGpuTensor, type TensorOwner } from './tensor.ts';

/** What an executable needs of its device. */
export interface WebGpuQueue extends TensorOwner {
  readonly gpu: GPUDevice;
  readonly capabilities: Capabilities;
  readonly pipelines: Pipelines;
  readonly profile: Profile | undefined;
  /** How a run that begins now hands over its dispatches. */
  partsFor(executable: WebGpuExecutable): Parts;
  /** Executables that were not disposed. */
  readonly executables: Set<WebGpuExecutable>;
  /** Memory that all executables share, as one runs at a time: at least that much. */
  shared(purpose: 'arena' | 'scratch', byteLength: number, label: string): GPUBuffer;
  /** A buffer of its own; failure is told by the queue. */
  createBuffer(byteLength: number, label: string): GPUBuffer;
  /** Throws when the device was disposed. */
  check(): void;
  /** Runs work now; the first error sticks and later work is not begun. */
  run(work: () => void): void;
  /** Notes an error that showed later. */
  fail(error: DeviceError): void;
  /** Bytes of buffers once the work queued before is done. */
  readBytes(parts: readonly BufferPart[]): Promise<readonly Uint8Array[]>;
}

/** A range of a buffer. */
export interface BufferPart {
  readonly buffer: GPUBuffer;
  readonly byteOffset: number;
  readonly byteLength: number;
}

/** Dispatches that are handed over first, each time twice as many, and the most at a time. */
export interface Parts {
  readonly first: number;
  readonly most: number;
}

/** One dispatch of a plan. */
interface Dispatch {
  readonly call: KernelCall;
  readonly name: string;
  readonly pass: Pass;
  readonly pipeline: Pipeline;
  readonly bindings: readonly Binding[];
  readonly scratch: boolean;
}

/** Bits that no kernel gives: as f32 a finite number near the largest. */
const poison = 0x7eadbeef;

/** A plan over buffers of an adapter: pipelines and bind groups are made once, a run encodes them. */
export class WebGpuExecutable implements Executable {
  readonly plan: Plan;
  readonly #queue: WebGpuQueue;
  readonly #debug: boolean;
  readonly #tensors: readonly WebGpuTensor[];
  /** Buffers of the plan; undefined for the arena. */
  readonly #buffers: readonly (GPUBuffer | undefined)[];
  readonly #own: readonly GPUBuffer[];
  readonly #arenaBytes: number;
  readonly #scratchBytes: number;
  #dispatches: readonly Dispatch[] = [];
  #groups: readonly GPUBindGroup[] = [];
  #boundArena: GPUBuffer | undefined;
  #boundScratch: GPUBuffer | undefined;
  #checks: Promise<void>[] = [];
  /** The commands of a run to come. */
  #prepared: readonly GPUCommandBuffer[] | undefined;
  /** What lies in the inputs: most stay from step to step, and a write takes as long as a kernel. */
  readonly #written = new Map<string, HostArray>();
  #ran = false;
  #disposed = false;

  /** Makes a plan ready: binds the tensors, generates the shaders and compiles them side by side. */
  static async make(
    queue: WebGpuQueue,
    plan: Plan,
    options: CompileOptions,
  ): Promise<WebGpuExecutable> {
    const executable = new WebGpuExecutable(queue, plan, options);
    try {
      executable.#dispatches = await executable.#compile();
    } catch (error) {
      executable.dispose();
      throw error;
    }
    return executable;
  }

  private constructor(queue: WebGpuQueue, plan: Plan, options: CompileOptions) {
    this.plan = plan;
    this.#queue = queue;
    this.#debug = options.debug ?? false;
    const tensors = bindTensors(
      'webgpu',
      plan,
      options,
      (tensor): tensor is WebGpuTensor =>
        tensor instanceof WebGpuTensor && queue.tensors.has(tensor),
    );
    this.#tensors = [...tensors.values()];
    const own: GPUBuffer[] = [];
    let arenaBytes = 0;
    this.#buffers = plan.buffers.map(({ kind, name, byteLength: bytes }, index) => {
      const tensor = tensors.get(index);
      if (tensor) return tensor.buffer;
      if (kind === 'intermediate') {
        arenaBytes = Math.max(arenaBytes, bytes);
        return undefined;
      }
      const buffer = queue.createBuffer(bytes, `${kind} ${name ?? ''} of ${plan.program.name}`);
      own.push(buffer);
      return buffer;
    });
    this.#own = own;
    const { maxBufferSize } = queue.gpu.limits;
    if (arenaBytes > maxBufferSize) {
      throw new DeviceError(
        `program ${plan.program.name} needs ${arenaBytes} bytes for what it computes and device webgpu has ` +
          `no buffer over ${maxBufferSize}; give it fewer tokens a step`,
      );
    }
    this.#arenaBytes = arenaBytes;
    this.#scratchBytes = Math.max(0, ...plan.calls.map(({ scratchBytes }) => scratchBytes));
    queue.executables.add(this);
  }

  /** How many dispatches a run makes. */
  get dispatches(): number {
    return this.#dispatches.length;
  }

  async #compile(): Promise<readonly Dispatch[]> {
    const { calls, program } = this.plan;
    const parameters = fromParameters(program);
    const pending = calls.flatMap((call) => {
      const operation = program.operations[call.operation]!;
      const view = viewOf(program, operation, parameters);
      const kernel: Kernel = kernelFor(view, this.#queue.capabilities)!;
      const { inputs, outputs } = viewInMemory(view);
      const bindings = this.#bindingsOf(call);
      const name = operation.definition.name;
      return kernel.passes.flatMap((pass) => {
        const shader = shaderOf(pass, inputs, outputs, bindings, kernel.scratchBytes ?? 0);
        if (!shader) return [];
        const bound = { bindings: shader.bindings, scratch: shader.scratch };
        return [
          this.#queue.pipelines
            .get(shader, name)
            .then((pipeline): Dispatch => ({ call, name, pass, pipeline, ...bound })),
        ];
      });
    });
    const settled = await Promise.allSettled(pending);
    return settled.map((one) => {
      if (one.status === 'rejected') throw one.reason;
      return one.value;
    });
  }

  /** Arguments that lie in one place are one binding; a buffer that is written is bound so throughout. */
  #bindingsOf(call: KernelCall): readonly Binding[] {
    const places = new Map<string, number[]>();
    call.buffers.forEach(({ buffer, byteOffset }, at) => {
      const key = `${buffer} ${byteOffset}`;
      const known = places.get(key);
      if (known) known.push(at);
      else places.set(key, [at]);
    });
    const written = new Set(
      call.buffers.flatMap(({ buffer, access }) => (access === 'read' ? [] : [buffer])),
    );
    return [...places.values()].map((all) => ({
      arguments: all,
      access: written.has(call.buffers[all[0]!]!.buffer) ? 'read_write' : 'read',
    }));
  }

  /** Makes the bind groups; again when shared memory has moved, since another program needed more. */
  #bindGroups(): void {
    const { gpu } = this.#queue;
    const label = this.plan.program.name;
    const arena =
      this.#arenaBytes > 0 ? this.#queue.shared('arena', this.#arenaBytes, label) : undefined;
    const scratch =
      this.#scratchBytes > 0 ? this.#queue.shared('scratch', this.#scratchBytes, label) : undefined;
    const made = this.#groups.length === this.#dispatches.length;
    if (made && arena === this.#boundArena && scratch === this.#boundScratch) return;
    this.#boundArena = arena;
    this.#boundScratch = scratch;
    this.#prepared = undefined;
    this.#groups = this.#dispatches.map(({ call, pipeline, bindings, scratch: takes }) => {
      const part = (place: number): GPUBufferBinding => {
        const { buffer, byteOffset, byteLength } = call.buffers[place]!;
        return { buffer: this.#buffers[buffer] ?? arena!, offset: byteOffset, size: byteLength };
      };
      const resources = [
        ...bindings.map(({ arguments: places }) => part(places[0]!)),
        ...(takes ? [{ buffer: scratch!, size: Math.ceil(call.scratchBytes / 16) * 16 }] : []),
      ];
      return gpu.createBindGroup({
        layout: pipeline.layout,
        entries: resources.map((resource, binding) => ({ binding, resource })),
      });
    });
  }

  run(inputs: RunInputs): void {
    this.#check();
    checkRunInputs(this.plan, inputs);
    this.#ran = true;
    this.#queue.run(() => {
      this.#bindGroups();
      for (const [name, { spec, use }] of this.plan.inputs) {
        const { dtype } = spec;
        if (isPacked(dtype)) throw new DeviceError(`input '${name}' is packed`);
        const elements = hostArray(dtype, Math.ceil(elementCount(spec.shape) / 2) * 2);
        setElements(elements, dtype, inputs[name]!);
        if (isSame(this.#written.get(name), elements)) continue;
        this.#written.set(name, elements);
        this.#queue.gpu.queue.writeBuffer(
          this.#buffers[use.buffer]!,
          0,
          elements.buffer as ArrayBuffer,
          0,
          elements.byteLength,
        );
      }
      if (this.#debug) this.#dispatchChecked();
      else this.#dispatch();
    });
  }

  /**
   * Encodes the commands of the next run ahead: what a device does while its host waits for results, so that
   * the adapter has work again as soon as they came.
   */
  prepare(parts: Parts): void {
    if (this.#debug || this.#disposed || this.#queue.profile || this.#prepared) return;
    this.#prepared = [...this.#commands(parts)];
  }

  #dispatch(): void {
    const parts = this.#queue.partsFor(this);
    const commands = this.#prepared ?? this.#commands(parts);
    this.#prepared = undefined;
    for (const one of commands) this.#queue.gpu.queue.submit([one]);
  }

  /** The commands of a run, part by part. */
  *#commands({ first, most }: Parts): Generator<GPUCommandBuffer> {
    const { gpu, profile } = this.#queue;
    const { length } = this.#dispatches;
    for (let from = 0, part = first; from < length; from += part, part *= 2) {
      part = Math.min(part, most);
      const to = Math.min(length, from + part);
      const encoder = gpu.createCommandEncoder();
      if (profile) {
        for (let i = from; i < to; i++) {
          const { name, call } = this.#dispatches[i]!;
          const pass = encoder.beginComputePass(profile.begin(name, call.cost));
          this.#encode(pass, i);
          pass.end();
        }
        profile.end(encoder);
      } else {
        const pass = encoder.beginComputePass();
        for (let i = from; i < to; i++) this.#encode(pass, i);
        pass.end();
      }
      yield encoder.finish();
    }
  }

  #encode(pass: GPUComputePassEncoder, i: number): void {
    const dispatch = this.#dispatches[i]!;
    pass.setPipeline(dispatch.pipeline.pipeline);
    pass.setBindGroup(0, this.#groups[i]!);
    pass.dispatchWorkgroups(...dispatch.pass.grid);
  }

  /** One call at a time: its outputs are poisoned before, and looked at for NaN after. */
  #dispatchChecked(): void {
    const { gpu } = this.#queue;
    this.#dispatches.forEach(({ call }, i) => {
      if (call !== this.#dispatches[i - 1]?.call) {
        for (const [part] of this.#outputsOf(call)) {
          const words = new Uint32Array(part.byteLength / 4).fill(poison);
          gpu.queue.writeBuffer(part.buffer, part.byteOffset, words);
        }
      }
      const encoder = gpu.createCommandEncoder();
      const pass = encoder.beginComputePass();
      this.#encode(pass, i);
      pass.end();
      gpu.queue.submit([encoder.finish()]);
      if (call !== this.#dispatches[i + 1]?.call) this.#checks.push(this.#lookForNaN(call));
    });
  }

  /** Outputs that lie in places of their own, with the id of their value. */
  #outputsOf(call: KernelCall): (readonly [BufferPart, number])[] {
    const { inputs, outputs } = this.plan.program.operations[call.operation]!;
    return call.buffers.slice(inputs.length).flatMap((use, i) => {
      const inPlace = call.buffers
        .slice(0, inputs.length)
        .some((other) => other.buffer === use.buffer && other.byteOffset === use.byteOffset);
      if (inPlace) return [];
      const buffer = this.#buffers[use.buffer] ?? this.#boundArena!;
      const { byteOffset, byteLength } = use;
      return [[{ buffer, byteOffset, byteLength }, outputs[i]!] as const];
    });
  }

  async #lookForNaN(call: KernelCall): Promise<void> {
    const { program } = this.plan;
    const outputs = this.#outputsOf(call).filter(
      ([, id]) => program.values[id]!.spec.dtype === 'f32',
    );
    const read = await this.#queue.readBytes(outputs.map(([part]) => part));
    outputs.forEach(([, id], i) => {
      const values = viewBytes('f32', read[i]!).subarray(
        0,
        elementCount(program.values[id]!.spec.shape),
      );
      const bad = values.findIndex((value: number) => Number.isNaN(value));
      if (bad < 0) return;
      const { definition, line } = program.operations[call.operation]!;
      this.#queue.fail(
        new DeviceError(
          `${definition.name} of program ${program.name}${line === '' ? '' : `, recorded at ${line},`} ` +
            `gave NaN as element ${bad}; look at its inputs`,
        ),
      );
    });
  }

  async read<Name extends string>(...names: readonly Name[]): Promise<Record<Name, HostArray>> {
    this.#check();
    if (!this.#ran) {
      throw new UsageError(`program ${this.plan.program.name} is read before it ran; run it first`);
    }
    const slots = names.map((name) => {
      const slot = this.plan.outputs.get(name);
      if (slot) return slot;
      throw new UsageError(
        `program ${this.plan.program.name} has no output '${name}'; ` +
          `it gives ${[...this.plan.outputs.keys()].join(', ') || 'none'}`,
      );
    });
    const reading = this.#queue.readBytes(
      slots.map(({ use: { buffer, byteOffset, byteLength } }) => ({
        buffer: this.#buffers[buffer]!,
        byteOffset,
        byteLength,
      })),
    );
    const checks = this.#checks;
    this.#checks = [];
    await Promise.all(checks);
    const read = await reading;
    return Object.fromEntries(
      names.map((name, i) => [name, elementsOf(slots[i]!, read[i]!)]),
    ) as Record<Name, HostArray>;
  }

  dispose(): void {
    if (this.#disposed) return;
    this.#disposed = true;
    this.#queue.executables.delete(this);
    for (const buffer of this.#own) buffer.destroy();
    this.#dispatches = [];
    this.#groups = [];
    this.#prepared = undefined;
  }

  #check(): void {
    this.#queue.check();
    if (this.#disposed) {
      throw new UsageError(
        `program ${this.plan.program.name} was disposed and is used again; compile it anew`,
      );
    }
    const gone = this.#tensors.find((tensor) => tensor.disposed);
    if (gone) {
      throw new UsageError(
        `program ${this.plan.program.name} uses tensor '${gone.label}', which was disposed; ` +
          'keep parameters and states as long as the programs that use them',
      );
    }
  }
}

/** True for two small arrays of the same bits. */
function isSame(known: HostArray | undefined, elements: HostArray): boolean {
  if (known?.length !== elements.length || elements.byteLength > 4096) return false;
  const bits = (array: HostArray): Uint16Array =>
    new Uint16Array(array.buffer, array.byteOffset, array.byteLength / 2);
  const [a, b] = [bits(known), bits(elements)];
  return a.every((word, i) => word === b[i]);
}

/** Elements of a value from the bytes of its place, which may be padded. */
function elementsOf({ spec }: PlanSlot, bytes: Uint8Array): HostArray {
  const { dtype, shape } = spec;
  if (isPacked(dtype)) return bytes.subarray(0, bytesIn(spec));
  return viewBytes(dtype, bytes).slice(0, elementCount(shape));
}
