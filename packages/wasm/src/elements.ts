import type { HostArray, PlainDType } from '@rwkv-js/tensor';

/** The bytes that an array lies in. */
export function bytesOf(elements: HostArray): Uint8Array<ArrayBuffer> {
  return new Uint8Array(elements.buffer as ArrayBuffer, elements.byteOffset, elements.byteLength);
}

/** Elements of a dtype over bytes of their own. */
export function arrayOf(dtype: PlainDType, bytes: ArrayBuffer): HostArray {
  switch (dtype) {
    case 'f32':
      return new Float32Array(bytes);
    case 'f16':
    case 'bf16':
      return new Uint16Array(bytes);
    case 'i32':
      return new Int32Array(bytes);
    case 'u32':
      return new Uint32Array(bytes);
  }
}
