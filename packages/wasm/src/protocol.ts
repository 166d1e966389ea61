import type { Attributes, TensorSpec } from '@rwkv-js/tensor';

/** A tensor in the workers' memory. */
export interface PlacedTensor extends TensorSpec {
  readonly address: number;
}

/** An operation that the first worker runs in its reference loops, or checks. Numbers and names alone. */
export interface HostOperation {
  /** The operation's name, in the table of reference-operations.ts. */
  readonly name: string;
  readonly attributes: Attributes;
  readonly inputs: readonly PlacedTensor[];
  readonly outputs: readonly PlacedTensor[];
  /** What errors call it: its name, program and line. */
  readonly where: string;
}

/** A range of memory. */
export interface ByteRange {
  readonly address: number;
  readonly byteLength: number;
}

/** What every worker is begun with. */
export interface BeginMessage {
  readonly kind: 'begin';
  readonly module: WebAssembly.Module;
  /** The memory that all share; without it, this one worker makes its own. */
  readonly memory: WebAssembly.Memory | undefined;
  /** Its place among the workers; the first, 0, takes all further messages. */
  readonly place: number;
  readonly count: number;
}

/** What the first worker does, one after another. Those with a `request` are answered. */
export type Command =
  | { readonly kind: 'grow'; readonly pages: number }
  | { readonly kind: 'write'; readonly address: number; readonly bytes: Uint8Array }
  | { readonly kind: 'fill'; readonly address: number; readonly byteLength: number }
  | {
      readonly kind: 'copy';
      readonly from: number;
      readonly to: number;
      readonly byteLength: number;
    }
  | {
      /** Brings a matrix into a layout where it lies; assembly/panels.ts says which forms there are. */
      readonly kind: 'pack';
      readonly address: number;
      readonly rows: number;
      readonly columns: number;
      readonly form: number;
      readonly scratch: number;
    }
  | {
      readonly kind: 'operations';
      readonly program: number;
      readonly operations: readonly HostOperation[];
    }
  | { readonly kind: 'forget'; readonly program: number }
  | {
      readonly kind: 'run';
      readonly program: number;
      readonly list: number;
      readonly scratch: number;
      readonly stride: number;
      readonly inputs: readonly { readonly address: number; readonly bytes: Uint8Array }[];
    }
  | { readonly kind: 'read'; readonly request: number; readonly ranges: readonly ByteRange[] };

/** What workers say: that they have begun, that a request is done, that one has failed. */
export type Reply =
  | { readonly kind: 'ready' }
  | { readonly kind: 'done'; readonly request: number; readonly data: readonly ArrayBuffer[] }
  | { readonly kind: 'failed'; readonly message: string };
