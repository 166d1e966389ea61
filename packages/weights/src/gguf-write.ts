import { UsageError, type Shape } from '@rwkv-js/tensor';
import { quote } from './quote.ts';
import type { FileLayout } from './write-parts.ts';

/** Types of metadata that are written, by their number in a file. */
const metadataTypes = { u32: 4, i32: 5, f32: 6, string: 8, list: 9 } as const;

/** A value of a GGUF file's metadata. */
export type GgufValue =
  | { readonly type: 'u32' | 'i32' | 'f32'; readonly value: number }
  | { readonly type: 'string'; readonly value: string }
  | { readonly type: 'list'; readonly of: 'i32'; readonly values: readonly number[] }
  | { readonly type: 'list'; readonly of: 'string'; readonly values: readonly string[] };

/** A tensor of a GGUF file that is to be written. */
export interface GgufTensorToWrite {
  readonly name: string;
  /** Number of the type in ggml. */
  readonly type: number;
  /** The slowest axis first. */
  readonly shape: Shape;
  readonly bytes: number;
}

/** Tensors begin at multiples of this. */
const alignment = 32;

/**
 * Lays out a GGUF file of version 3: header, metadata, and tensors one after another. What fills up the
 * last one to a multiple of 32 belongs to it. specs/rwkv.md §4.7.1
 *
 * @throws UsageError for a name that comes twice or is longer than 64 bytes.
 */
export function layoutGguf(
  metadata: ReadonlyMap<string, GgufValue>,
  tensors: readonly GgufTensorToWrite[],
): FileLayout {
  const out = new Writer();
  out.bytes(new TextEncoder().encode('GGUF'));
  out.u32(3);
  out.u64(tensors.length);
  out.u64(metadata.size);
  for (const [key, value] of metadata) {
    out.text(key);
    writeValue(out, value);
  }
  const places = new Map<string, { offset: number; length: number }>();
  let end = 0;
  for (const { name, type, shape, bytes } of tensors) {
    if (places.has(name) || new TextEncoder().encode(name).length > 64) {
      throw new UsageError(
        `Writing GGUF: tensor ${quote(name)} comes twice or has a name of more than 64 bytes.`,
      );
    }
    out.text(name);
    out.u32(shape.length);
    for (const size of shape.toReversed()) out.u64(size);
    out.u32(type);
    out.u64(end);
    const length = aligned(bytes);
    places.set(name, { offset: end, length });
    end += length;
  }
  const header = new Uint8Array(aligned(out.length));
  header.set(out.take());
  for (const place of places.values()) place.offset += header.length;
  return { header, ranges: places, size: header.length + end };
}

/** Bytes with what fills them up to where the next tensor begins. */
export function padded(bytes: Uint8Array): Uint8Array {
  const length = aligned(bytes.length);
  if (length === bytes.length) return bytes;
  const filled = new Uint8Array(length);
  filled.set(bytes);
  return filled;
}

const aligned = (bytes: number): number => Math.ceil(bytes / alignment) * alignment;

function writeValue(out: Writer, value: GgufValue): void {
  out.u32(metadataTypes[value.type]);
  if (value.type !== 'list') {
    if (value.type === 'string') out.text(value.value);
    else out.number(value.type, value.value);
    return;
  }
  out.u32(metadataTypes[value.of]);
  out.u64(value.values.length);
  for (const element of value.values) {
    if (typeof element === 'string') out.text(element);
    else out.number('i32', element);
  }
}

/** Bytes that grow. */
class Writer {
  #bytes = new Uint8Array(1 << 16);
  #view = new DataView(this.#bytes.buffer);
  length = 0;

  bytes(bytes: Uint8Array): void {
    this.#reserve(bytes.length);
    this.#bytes.set(bytes, this.length);
    this.length += bytes.length;
  }

  text(text: string): void {
    const bytes = new TextEncoder().encode(text);
    this.u64(bytes.length);
    this.bytes(bytes);
  }

  u32(value: number): void {
    this.number('u32', value);
  }

  u64(value: number): void {
    this.#reserve(8);
    this.#view.setBigUint64(this.length, BigInt(value), true);
    this.length += 8;
  }

  number(type: 'u32' | 'i32' | 'f32', value: number): void {
    this.#reserve(4);
    if (type === 'f32') this.#view.setFloat32(this.length, value, true);
    else if (type === 'i32') this.#view.setInt32(this.length, value, true);
    else this.#view.setUint32(this.length, value, true);
    this.length += 4;
  }

  take(): Uint8Array {
    return this.#bytes.subarray(0, this.length);
  }

  #reserve(bytes: number): void {
    if (this.length + bytes <= this.#bytes.length) return;
    const grown = new Uint8Array(Math.max(2 * this.#bytes.length, this.length + bytes));
    grown.set(this.#bytes);
    this.#bytes = grown;
    this.#view = new DataView(grown.buffer);
  }
}
