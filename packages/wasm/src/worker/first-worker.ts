import { control, pageBytes } from '../control.ts';
import type { Command, Reply } from '../protocol.ts';
import { HostOperations } from './host-operations.ts';
import type { Kernels } from './module.ts';
import { runList } from './run-list.ts';

/** The worker that takes commands and leads the others through runs. */
export class FirstWorker {
  readonly #kernels: Kernels;
  readonly #alone: boolean;
  readonly #reply: (message: Reply, transfer?: ArrayBuffer[]) => void;
  readonly #programs = new Map<number, HostOperations>();
  readonly #cells: Int32Array;
  #failed = false;

  constructor(
    kernels: Kernels,
    workers: number,
    reply: (message: Reply, transfer?: ArrayBuffer[]) => void,
  ) {
    this.#kernels = kernels;
    this.#alone = workers === 1;
    this.#reply = reply;
    this.#cells = new Int32Array(kernels.memory.buffer, 0, 256);
  }

  /** Does a command. The first failure is told, and nothing is done after it. */
  take(command: Command): void {
    if (this.#failed) return;
    try {
      this.#do(command);
    } catch (error) {
      this.#failed = true;
      this.#reply({
        kind: 'failed',
        message: error instanceof Error ? error.message : String(error),
      });
    }
  }

  #do(command: Command): void {
    const { memory } = this.#kernels;
    switch (command.kind) {
      case 'grow':
        memory.grow(command.pages - memory.buffer.byteLength / pageBytes);
        return;
      case 'write':
        this.#bytes(command.address, command.bytes.byteLength).set(command.bytes);
        return;
      case 'fill':
        this.#bytes(command.address, command.byteLength).fill(0);
        return;
      case 'copy':
        new Uint8Array(memory.buffer).copyWithin(
          command.to,
          command.from,
          command.from + command.byteLength,
        );
        return;
      case 'pack': {
        const { address, rows, columns, form, scratch } = command;
        this.#kernels.packMatrix(address, rows, columns, form, scratch);
        return;
      }
      case 'operations':
        this.#programs.set(command.program, new HostOperations(memory, command.operations));
        return;
      case 'forget':
        this.#programs.delete(command.program);
        return;
      case 'run':
        this.#run(command);
        return;
      case 'read': {
        const data = command.ranges.map(
          ({ address, byteLength }) => this.#bytes(address, byteLength).slice().buffer,
        );
        this.#reply({ kind: 'done', request: command.request, data }, data);
      }
    }
  }

  #run({ program, list, scratch, stride, inputs }: Command & { kind: 'run' }): void {
    for (const { address, bytes } of inputs) this.#bytes(address, bytes.byteLength).set(bytes);
    if (!this.#alone) {
      this.#cells[control.list] = list;
      this.#cells[control.scratch] = scratch;
      this.#cells[control.stride] = stride;
      Atomics.add(this.#cells, control.runs, 1);
      Atomics.notify(this.#cells, control.runs);
    }
    this.#kernels.useScratch(scratch, stride);
    const operations = this.#programs.get(program);
    runList(this.#kernels, new Int32Array(this.#kernels.memory.buffer), list >>> 2, (kind, place) =>
      operations!.run(kind, place),
    );
  }

  /** Memory as it is now: it may have grown. */
  #bytes(address: number, byteLength: number): Uint8Array<ArrayBuffer> {
    // Shared or not makes no difference to setting, filling and copying.
    return new Uint8Array(this.#kernels.memory.buffer as ArrayBuffer, address, byteLength);
  }
}
