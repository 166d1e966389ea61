import { Bytes } from './zip-writer.ts';

/** Types of metadata by their number in the file. */
const metadataTypes = {
  u8: 0,
  i8: 1,
  u16: 2,
  i16: 3,
  u32: 4,
  i32: 5,
  f32: 6,
  bool: 7,
  string: 8,
  list: 9,
  u64: 10,
  i64: 11,
  f64: 12,
} as const;

type MetadataType = keyof typeof metadataTypes;

/** A value, of a list every element. */
export type GgufValue =
  | { readonly type: Exclude<MetadataType, 'list'>; readonly value: string | number | bigint }
  | {
      readonly type: 'list';
      readonly of: MetadataType;
      readonly values: readonly (string | number | bigint | GgufValue)[];
    };

export interface GgufTensor {
  readonly name: string;
  /** Number of the type in ggml. */
  readonly type: number;
  /** As torch has it. */
  readonly shape: readonly number[];
  readonly bytes: Uint8Array;
}

export interface GgufOptions {
  readonly version?: number;
  readonly metadata?: Readonly<Record<string, GgufValue>>;
  readonly alignment?: number;
  /** Tensors that the header claims; those that there are if left out. */
  readonly tensorCount?: number;
  /** Offsets of the tensors, in place of those where they are. */
  readonly offsets?: readonly number[];
}

/** A GGUF file. Written from the format's description, for tests; it can break its rules. */
export function ggufFile(tensors: readonly GgufTensor[], options: GgufOptions = {}): Uint8Array {
  const { version = 3, metadata = {}, alignment = 32, offsets = [] } = options;
  const out = new Bytes().text('GGUF').u32(version);
  const entries = Object.entries(metadata);
  out.u64(options.tensorCount ?? tensors.length).u64(entries.length);
  for (const [key, value] of entries) {
    string(out, key).u32(metadataTypes[value.type]);
    writeValue(out, value);
  }
  let offset = 0;
  for (const [i, { name, type, shape, bytes }] of tensors.entries()) {
    string(out, name).u32(shape.length);
    for (const size of shape.toReversed()) out.u64(size);
    out.u32(type).u64(offsets[i] ?? offset);
    offset += Math.ceil(bytes.length / alignment) * alignment;
  }
  for (const { bytes } of tensors) pad(out, alignment).bytes(bytes);
  return out.take();
}

const pad = (out: Bytes, alignment: number): Bytes =>
  out.bytes(new Uint8Array((alignment - (out.length % alignment)) % alignment));

function string(out: Bytes, text: string): Bytes {
  const bytes = new TextEncoder().encode(text);
  return out.u64(bytes.length).bytes(bytes);
}

function writeValue(out: Bytes, value: GgufValue): void {
  if (value.type !== 'list') return writeScalar(out, value.type, value.value);
  out.u32(metadataTypes[value.of]).u64(value.values.length);
  for (const element of value.values) {
    if (typeof element === 'object') writeValue(out, element);
    else if (value.of !== 'list') writeScalar(out, value.of, element);
  }
}

function writeScalar(
  out: Bytes,
  type: Exclude<MetadataType, 'list'>,
  value: string | number | bigint,
): void {
  if (type === 'string') {
    string(out, String(value));
    return;
  }
  const view = new DataView(new ArrayBuffer(8));
  const number = Number(value);
  const size = {
    u8: () => (view.setUint8(0, number), 1),
    i8: () => (view.setInt8(0, number), 1),
    u16: () => (view.setUint16(0, number, true), 2),
    i16: () => (view.setInt16(0, number, true), 2),
    u32: () => (view.setUint32(0, number, true), 4),
    i32: () => (view.setInt32(0, number, true), 4),
    f32: () => (view.setFloat32(0, number, true), 4),
    bool: () => (view.setUint8(0, number), 1),
    u64: () => (view.setBigUint64(0, BigInt(value), true), 8),
    i64: () => (view.setBigInt64(0, BigInt(value), true), 8),
    f64: () => (view.setFloat64(0, number, true), 8),
  }[type]();
  out.bytes(new Uint8Array(view.buffer, 0, size));
}
