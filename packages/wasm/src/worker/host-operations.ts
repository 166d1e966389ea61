import { isFloating, type HostArray, type HostTensor, type ReferenceCall } from '@rwkv-js/tensor';
import { hostCall } from '../call-list.ts';
import type { HostOperation, PlacedTensor } from '../protocol.ts';
import { referenceOperations } from '../reference-operations.ts';

/** What a program's host calls are about: operations with views of the memory, made when first needed. */
export class HostOperations {
  readonly #memory: WebAssembly.Memory;
  readonly #operations: readonly HostOperation[];
  readonly #calls: (ReferenceCall | undefined)[] = [];
  #buffer: ArrayBufferLike | undefined;

  constructor(memory: WebAssembly.Memory, operations: readonly HostOperation[]) {
    this.#memory = memory;
    this.#operations = operations;
  }

  /** @throws Error with the operation, its program and its line, when it fails or gives NaN. */
  run(kind: number, place: number): void {
    const { name, where } = this.#operations[place]!;
    const call = this.#call(place);
    if (kind === hostCall.poison) return poison(call);
    if (kind === hostCall.check) return check(call, where);
    try {
      referenceOperations.get(name)!.reference!(call);
    } catch (error) {
      throw new Error(`${where} failed: ${String(error)}`, { cause: error });
    }
  }

  #call(place: number): ReferenceCall {
    // Memory that has grown has another buffer; views of the old one still see its part.
    if (this.#buffer !== this.#memory.buffer) {
      this.#buffer = this.#memory.buffer;
      this.#calls.length = 0;
    }
    const { inputs, outputs, attributes } = this.#operations[place]!;
    const view = (tensor: PlacedTensor): HostTensor => ({
      ...tensor,
      data: arrayAt(this.#buffer!, tensor),
    });
    return (this.#calls[place] ??= {
      inputs: inputs.map(view),
      outputs: outputs.map(view),
      attributes,
    });
  }
}

function arrayAt(memory: ArrayBufferLike, { dtype, shape, address }: PlacedTensor): HostArray {
  const count = shape.reduce((product, size) => product * size, 1);
  // Reference loops take their arrays over any buffer; the type of theirs has no word for shared ones.
  const buffer = memory as ArrayBuffer;
  switch (dtype) {
    case 'f32':
      return new Float32Array(buffer, address, count);
    case 'f16':
    case 'bf16':
      return new Uint16Array(buffer, address, count);
    case 'i32':
      return new Int32Array(buffer, address, count);
    case 'u32':
      return new Uint32Array(buffer, address, count);
  }
}

/** Fills outputs with NaN, or a large integer, but for those that are written in place. */
function poison({ inputs, outputs }: ReferenceCall): void {
  for (const { dtype, data } of outputs) {
    const inPlace = inputs.some((input) => input.data.byteOffset === data.byteOffset);
    if (!inPlace) data.fill(isFloating(dtype) ? NaN : 0x7eadbeef);
  }
}

function check({ outputs }: ReferenceCall, where: string): void {
  for (const { data } of outputs) {
    const bad = data.findIndex((element: number) => Number.isNaN(element));
    if (bad >= 0) throw new Error(`${where} gave NaN as element ${bad}; look at its inputs`);
  }
}
