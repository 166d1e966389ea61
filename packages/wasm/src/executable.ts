import {
  bindTensors,
  checkRunInputs,
  byteLength,
  setElements,
  UsageError,
  type CompileOptions,
  type Executable,
  type HostArray,
  type KernelCall,
  type Plan,
  type RunInputs,
} from '@rwkv-js/tensor';
import { encodeCalls, hostCall, type ListedCall } from './call-list.ts';
import type { WasmDevice } from './device.ts';
import { arrayOver, bytesOf, countOf, emptyArray } from './elements.ts';
import { Hazards } from './hazards.ts';
import { kernelNames, sharingScratch, type KernelName } from './kernel-names.ts';
import type { HostOperation, PlacedTensor } from './protocol.ts';
import { alignment } from './heap.ts';
import { WasmTensor } from './tensor.ts';

/** Programs that were compiled by this process, for the workers to tell them apart. */
let programs = 0;

/** A planned program as a list of calls in the workers' memory. */
export class WasmExecutable implements Executable {
  readonly plan: Plan;
  readonly #device: WasmDevice;
  readonly #program = ++programs;
  readonly #debug: boolean;
  readonly #tensors: ReadonlyMap<number, WasmTensor>;
  /** Memory of inputs and outputs, by their place in the plan's buffers. */
  readonly #own = new Map<number, { readonly address: number; readonly byteLength: number }>();
  /** Bytes of intermediate values, and of the working memory of one worker. */
  readonly #arenaBytes: number;
  readonly #scratchStride: number;
  #arena = -1;
  #list: { readonly address: number; readonly byteLength: number } | undefined;
  #ran = false;
  #disposed = false;

  constructor(device: WasmDevice, plan: Plan, options: CompileOptions) {
    this.plan = plan;
    this.#device = device;
    this.#debug = options.debug ?? false;
    const tensors = bindTensors(
      'wasm',
      plan,
      options,
      (tensor): tensor is WasmTensor => tensor instanceof WasmTensor && device.tensors.has(tensor),
    );
    this.#tensors = tensors;

    const { name } = plan.program;
    this.#arenaBytes = plan.buffers.reduce(
      (bytes, buffer) => (buffer.kind === 'intermediate' ? bytes + buffer.byteLength : bytes),
      0,
    );
    const scratch = Math.max(0, ...plan.calls.map(({ scratchBytes }) => scratchBytes));
    this.#scratchStride = Math.ceil(scratch / alignment) * alignment;
    try {
      plan.buffers.forEach(({ kind, byteLength: bytes }, at) => {
        if (kind !== 'input' && kind !== 'output') return;
        const address = device.team.take(bytes, name, { zero: true });
        this.#own.set(at, { address, byteLength: bytes });
      });
      this.#place();
    } catch (error) {
      this.#giveBack();
      throw error;
    }
    device.executables.add(this);
  }

  /** Makes the list of calls; again when the arena has moved, since another program needed more. */
  #place(): void {
    const { arena, scratch, team } = this.#device;
    const { name } = this.plan.program;
    arena.ensure(this.#arenaBytes, name);
    // What all workers share comes first, then what each has of its own.
    scratch.ensure(this.#scratchStride * (team.size + 1), name);
    if (arena.address === this.#arena && this.#list) return;
    this.#arena = arena.address;
    const operations: HostOperation[] = [];
    const words = encodeCalls(this.#listCalls(operations));
    if (this.#list) team.give(this.#list.address, this.#list.byteLength);
    this.#list = undefined;
    const address = team.take(words.byteLength, name);
    this.#list = { address, byteLength: words.byteLength };
    team.write(address, bytesOf(words));
    team.send({ kind: 'operations', program: this.#program, operations });
  }

  #listCalls(operations: HostOperation[]): ListedCall[] {
    const hazards = new Hazards();
    return this.plan.calls.flatMap((call): ListedCall[] => {
      const ranges = call.buffers.map(({ buffer, byteOffset, byteLength: bytes, access }) => ({
        start: this.#addressOf(buffer) + byteOffset,
        byteLength: bytes,
        access,
      }));
      const kernel = kernelNames.indexOf(call.kernel as KernelName);
      const shares = kernel >= 0 && sharingScratch.has(call.kernel as KernelName);
      const addresses = ranges.map(({ start }) => start);
      const { scalars } = call;
      const barrier = hazards.needBarrier(ranges, shares);
      if (kernel >= 0 && !this.#debug) return [{ kernel, barrier, addresses, scalars }];

      const host = operations.push(this.#hostOperation(call, addresses)) - 1;
      const bare = { host, addresses: [], scalars: [] };
      const run =
        kernel >= 0
          ? { kernel, barrier: true, addresses, scalars }
          : { ...bare, kernel: hostCall.reference, barrier };
      if (!this.#debug) return [run];
      return [
        { ...bare, kernel: hostCall.poison, barrier: true },
        { ...run, barrier: true },
        { ...bare, kernel: hostCall.check, barrier: true },
      ];
    });
  }

  #hostOperation({ operation }: KernelCall, addresses: readonly number[]): HostOperation {
    const { program } = this.plan;
    const { definition, attributes, inputs, outputs, line } = program.operations[operation]!;
    const placed = [...inputs, ...outputs].map((id, i): PlacedTensor => {
      const { spec } = program.values[id]!;
      return { ...spec, address: addresses[i]! };
    });
    return {
      name: definition.name,
      attributes,
      inputs: placed.slice(0, inputs.length),
      outputs: placed.slice(inputs.length),
      where: `${definition.name} of program ${program.name}${line === '' ? '' : `, recorded at ${line},`}`,
    };
  }

  #addressOf(buffer: number): number {
    const own = this.#own.get(buffer) ?? this.#tensors.get(buffer);
    if (own) return own.address;
    // A plan has one buffer for all intermediate values, since the table asks for it.
    return this.#device.arena.address;
  }

  run(inputs: RunInputs): void {
    this.#check();
    checkRunInputs(this.plan, inputs);
    const given = [...this.plan.inputs].map(([name, { spec, use }]) => {
      const elements = emptyArray(spec, countOf(spec));
      setElements(elements, spec.dtype, inputs[name]!);
      return { address: this.#addressOf(use.buffer) + use.byteOffset, bytes: bytesOf(elements) };
    });
    this.#ran = true;
    // A device that failed takes the run and does nothing; reading tells.
    if (this.#device.team.failed) return;
    this.#place();
    this.#device.team.send({
      kind: 'run',
      program: this.#program,
      list: this.#list!.address,
      scratch: this.#device.scratch.address,
      stride: this.#scratchStride,
      inputs: given,
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
    const data = await this.#device.team.read(
      slots.map(({ spec, use }) => ({
        address: this.#addressOf(use.buffer) + use.byteOffset,
        byteLength: byteLength(spec),
      })),
    );
    const entries = slots.map(({ spec }, i) => [names[i]!, arrayOver(spec, data[i]!)]);
    return Object.fromEntries(entries) as Record<Name, HostArray>;
  }

  dispose(): void {
    if (this.#disposed) return;
    this.#disposed = true;
    this.#device.executables.delete(this);
    this.#device.team.send({ kind: 'forget', program: this.#program });
    this.#giveBack();
  }

  #giveBack(): void {
    const { team } = this.#device;
    for (const { address, byteLength: bytes } of this.#own.values()) team.give(address, bytes);
    this.#own.clear();
    if (this.#list) team.give(this.#list.address, this.#list.byteLength);
    this.#list = undefined;
  }

  #check(): void {
    this.#device.check();
    if (this.#disposed) {
      throw new UsageError(
        `program ${this.plan.program.name} was disposed and is used again; compile it anew`,
      );
    }
    for (const tensor of this.#tensors.values()) {
      if (!tensor.disposed) continue;
      throw new UsageError(
        `program ${this.plan.program.name} uses tensor '${tensor.label}', which was disposed; ` +
          'keep parameters and states as long as the programs that use them',
      );
    }
  }
}
