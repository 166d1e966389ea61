import { Bytes } from './zip-writer.ts';

export interface RwkvCppTensor {
  readonly name: string;
  /** Number of the type in rwkv.cpp. */
  readonly type: number;
  /** As torch has it. */
  readonly shape: readonly number[];
  readonly bytes: Uint8Array;
}

/** A file of rwkv.cpp. Written from the format's description, for tests; it can break its rules. */
export function rwkvCppFile(tensors: readonly RwkvCppTensor[], version = 101): Uint8Array {
  const out = new Bytes().text('fmgg').u32(version).u32(6).u32(4).u32(1).u32(0);
  for (const { name, type, shape, bytes } of tensors) {
    const key = new TextEncoder().encode(name);
    out.u32(shape.length).u32(key.length).u32(type);
    for (const size of shape.toReversed()) out.u32(size);
    out.bytes(key).bytes(bytes);
  }
  return out.take();
}
