import {
  bindTensors,
  checkRunInputs,
  DeviceError,
  isPacked,
  setElements,
  UsageError,
  type CompileOptions,
  type Executable,
  type HostArray,
  type HostTensor,
  type Plan,
  type PlanSlot,
  type ReferenceCall,
  type RunInputs,
} from '@rwkv-js/tensor';
import { allocateBytes, arrayOver, CpuTensor, type TensorOwner } from './tensor.ts';

/** What an executable needs of its device. */
export interface CpuQueue extends TensorOwner {
  readonly precision: 'f32' | 'f64';
  /** Executables that were not disposed. */
  readonly executables: Set<CpuExecutable>;
  /** Memory for intermediate values, at least that much, the same for all: one executable runs at a time. */
  arena(byteLength: number, label: string): ArrayBuffer;
  /** Throws when the device was disposed. */
  check(): void;
  /** Runs work now; the first error sticks and later work is not begun. */
  run(work: () => void): void;
  /** Throws the error that stuck, if one did. */
  settle(): void;
}

/** Where a plan's buffer begins: in memory of its own, or in the arena where none is named. */
interface Memory {
  readonly buffer: ArrayBuffer | undefined;
  readonly byteOffset: number;
}

/** A plan over memory of this process: every call has its arrays ready, a run is one loop. */
export class CpuExecutable implements Executable {
  readonly plan: Plan;
  readonly #queue: CpuQueue;
  readonly #debug: boolean;
  readonly #inputs = new Map<string, HostTensor>();
  readonly #outputs = new Map<string, HostTensor>();
  #memory: readonly Memory[];
  #arenaBytes = 0;
  #arena: ArrayBuffer | undefined;
  #calls: { readonly call: ReferenceCall; readonly operation: number }[] = [];
  #tensors: readonly CpuTensor[];
  #ran = false;
  #disposed = false;

  constructor(queue: CpuQueue, plan: Plan, options: CompileOptions) {
    this.plan = plan;
    this.#queue = queue;
    this.#debug = options.debug ?? false;
    const tensors = bindTensors(
      'cpu',
      plan,
      options,
      (tensor): tensor is CpuTensor => tensor instanceof CpuTensor && queue.tensors.has(tensor),
    );
    this.#tensors = [...tensors.values()];

    this.#memory = plan.buffers.map(({ kind, byteLength }, index) => {
      const data = tensors.get(index)?.data;
      if (data) return { buffer: data.buffer as ArrayBuffer, byteOffset: data.byteOffset };
      if (kind === 'intermediate') {
        // A plan has one buffer for all intermediate values, or one for each: all lie in the arena.
        const start = this.#arenaBytes;
        this.#arenaBytes += byteLength;
        return { buffer: undefined, byteOffset: start };
      }
      return { buffer: allocateBytes(byteLength, plan.program.name), byteOffset: 0 };
    });
    for (const [name, slot] of plan.inputs) this.#inputs.set(name, this.#view(slot));
    for (const [name, slot] of plan.outputs) this.#outputs.set(name, this.#view(slot));
    this.#bindCalls();
    queue.executables.add(this);
  }

  /** Gives every call its arrays; again when the arena has moved, since another program needed more. */
  #bindCalls(): void {
    const { calls, program } = this.plan;
    const arena = this.#queue.arena(this.#arenaBytes, program.name);
    if (arena === this.#arena) return;
    this.#arena = arena;
    this.#calls = calls.map(({ operation, buffers: uses }) => {
      const { inputs, outputs, attributes } = program.operations[operation]!;
      const tensors = [...inputs, ...outputs].map((id, i) =>
        this.#view({ spec: program.values[id]!.spec, use: uses[i]! }),
      );
      const call = {
        inputs: tensors.slice(0, inputs.length),
        outputs: tensors.slice(inputs.length),
        attributes,
      };
      return { call, operation };
    });
  }

  #view({ spec, use }: PlanSlot): HostTensor {
    const { buffer = this.#arena!, byteOffset } = this.#memory[use.buffer]!;
    const start = byteOffset + use.byteOffset;
    return { ...spec, data: arrayOver(spec, this.#queue.precision, buffer, start) };
  }

  run(inputs: RunInputs): void {
    this.#check();
    checkRunInputs(this.plan, inputs);
    this.#ran = true;
    this.#queue.run(() => {
      this.#bindCalls();
      for (const [name, target] of this.#inputs) {
        setElements(target.data, target.dtype, inputs[name]!);
      }
      for (const { call, operation } of this.#calls) {
        if (this.#debug) this.#runChecked(call, operation);
        else this.plan.program.operations[operation]!.definition.reference!(call);
      }
    });
  }

  async read<Name extends string>(...names: readonly Name[]): Promise<Record<Name, HostArray>> {
    this.#check();
    if (!this.#ran) {
      throw new UsageError(`program ${this.plan.program.name} is read before it ran; run it first`);
    }
    const found = names.map((name) => {
      const output = this.#outputs.get(name);
      if (output) return [name, output.data.slice()] as const;
      throw new UsageError(
        `program ${this.plan.program.name} has no output '${name}'; ` +
          `it gives ${[...this.#outputs.keys()].join(', ') || 'none'}`,
      );
    });
    this.#queue.settle();
    return Object.fromEntries(found) as Record<Name, HostArray>;
  }

  dispose(): void {
    this.#disposed = true;
    this.#queue.executables.delete(this);
    this.#calls = [];
    this.#memory = [];
    this.#arena = undefined;
    this.#inputs.clear();
    this.#outputs.clear();
    this.#tensors = [];
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

  /**
   * Runs one operation; what goes wrong in it, and the first NaN, is told with its name and line. Its
   * outputs are poisoned before, so that an element it does not write shows.
   */
  #runChecked(call: ReferenceCall, at: number): void {
    const { definition, line } = this.plan.program.operations[at]!;
    const where =
      `${definition.name} of program ${this.plan.program.name}` +
      (line === '' ? '' : `, recorded at ${line},`);
    try {
      poison(call);
      definition.reference!(call);
    } catch (error) {
      throw new DeviceError(`${where} failed: ${String(error)}`, { cause: error });
    }
    for (const { data, dtype } of call.outputs) {
      if (isPacked(dtype)) continue;
      const bad = data.findIndex((element: number) => Number.isNaN(element));
      if (bad < 0) continue;
      throw new DeviceError(`${where} gave NaN as element ${bad}; look at its inputs`);
    }
  }
}

/** Fills outputs with NaN, or a large integer, but for those that are written in place. */
function poison({ inputs, outputs }: ReferenceCall): void {
  for (const { data } of outputs) {
    const inPlace = inputs.some(
      (input) => input.data.buffer === data.buffer && input.data.byteOffset === data.byteOffset,
    );
    if (!inPlace)
      data.fill(data instanceof Int32Array ? 0x7eadbeef : data instanceof Uint8Array ? 0xff : NaN);
  }
}
