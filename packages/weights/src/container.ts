import type { Shape } from '@rwkv-js/tensor';
import type { BlockFormat } from './blocks/block-format.ts';
import type { ByteSource, ReadOptions } from './byte-source.ts';
import type { ElementType } from './element-type.ts';

/** One tensor of a file: what it is, and how its bytes are fetched. */
export interface StoredTensor {
  readonly type: ElementType;
  readonly shape: Shape;
  /** Its elements row-major and little-endian, in the dtype of its type. */
  read(options: ReadOptions): Promise<Uint8Array>;
  /** For quantised tensors: the blocks as they lie in the file, of which `read` makes f32. */
  readonly blocks?: StoredBlocks | undefined;
}

/** The blocks of a quantised tensor, along its last axis, row after row. */
interface StoredBlocks {
  readonly format: BlockFormat;
  read(options: ReadOptions): Promise<Uint8Array>;
}

/** A list among the metadata of a file; left in the file until it is asked for. */
export interface MetadataList {
  /** What it is a list of: `string`, `i32`, `f32`. */
  readonly elementType: string;
  readonly length: number;
  /** Its elements; 64-bit integers as bigint. */
  read(options?: ReadOptions): Promise<readonly MetadataValue[]>;
}

export type MetadataValue = string | number | bigint | boolean;

/**
 * The bytes of every token by its id, undefined for those that stand for no text: control tokens, and
 * ids that only fill the embedding up.
 */
export type StoredVocabulary = readonly (Uint8Array | undefined)[];

/** What the header of a file says. */
export interface ContainerContents {
  readonly tensors: ReadonlyMap<string, StoredTensor>;
  readonly metadata: ReadonlyMap<string, string>;
  /** Metadata that are lists, where the format has such. */
  readonly lists?: ReadonlyMap<string, MetadataList> | undefined;
  /** The vocabulary that the file holds, where it holds one. */
  readonly vocabulary?: ((options?: ReadOptions) => Promise<StoredVocabulary>) | undefined;
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
