import { isPacked, type HostTensor, type ReferenceCall } from '@rwkv-js/tensor';
import { hostCall } from '../call-list.ts';
import { arrayOver, countOf } from '../elements.ts';
import type { HostOperation, PlacedTensor } from '../protocol.ts';
import { referenceOperations } from '../reference-operations.ts';
import { sampleRows } from './sample.ts';

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
      if (name === 'sample') sampleRows(call);
      else referenceOperations.get(name)!.reference!(call);
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
    // Reference loops take arrays over any buffer; the type of theirs has no word for shared ones.
    const buffer = this.#buffer as ArrayBuffer;
    const view = (tensor: PlacedTensor): HostTensor => ({
      ...tensor,
      data: arrayOver(tensor, buffer, tensor.address, countOf(tensor)),
    });
    return (this.#calls[place] ??= {
      inputs: inputs.map(view),
      outputs: outputs.map(view),
      attributes,
    });
  }
}

/** Fills outputs with NaN, or a large integer, but for those that are written in place. */
function poison({ inputs, outputs }: ReferenceCall): void {
  for (const { data } of outputs) {
    if (inputs.some((input) => input.data.byteOffset === data.byteOffset)) continue;
    data.fill(data instanceof Float32Array ? NaN : data instanceof Uint8Array ? 0xff : 0x7eadbeef);
  }
}

function check({ outputs }: ReferenceCall, where: string): void {
  for (const { data, dtype } of outputs) {
    if (isPacked(dtype)) continue;
    const bad = data.findIndex((element: number) => Number.isNaN(element));
    if (bad >= 0) throw new Error(`${where} gave NaN as element ${bad}; look at its inputs`);
  }
}
