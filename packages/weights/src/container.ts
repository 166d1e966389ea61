import type { Shape } from '@rwkv-js/tensor';
import type { ByteSource, ReadOptions } from './byte-source.ts';
import type { ElementType } from './element-type.ts';

/** One tensor of a file: what it is, and how its bytes are fetched. */
export interface StoredTensor {
  readonly type: ElementType;
  readonly shape: Shape;
  /** Its elements row-major and little-endian. */
  read(options: ReadOptions): Promise<Uint8Array>;
}

/** What the header of a file says. */
export interface ContainerContents {
  readonly tensors: ReadonlyMap<string, StoredTensor>;
  readonly metadata: ReadonlyMap<string, string>;
}

/** A file format that holds named tensors. To add one: write its file, and list it in containers.ts. */
export interface Container {
  /** What listings and errors call it: `safetensors`, `torch zip`. */
  readonly name: string;
  /** True when the first bytes of a file (at most {@link headBytes}) are those of this format. */
  recognises(head: Uint8Array): boolean;
  /** Reads and checks the header; no tensor is read. */
  open(source: ByteSource, options: ReadOptions): Promise<ContainerContents>;
}

/** How many bytes from a file's beginning recognising looks at. */
export const headBytes = 1024;

/** True when `head` has these bytes at `offset`. */
export function hasBytes(head: Uint8Array, bytes: readonly number[] | string, offset = 0): boolean {
  if (head.length < offset + bytes.length) return false;
  for (let i = 0; i < bytes.length; i++) {
    const byte = typeof bytes === 'string' ? bytes.charCodeAt(i) : bytes[i];
    if (head[offset + i] !== byte) return false;
  }
  return true;
}
