import {
  byteLength,
  DeviceError,
  elementCount,
  isPacked,
  UsageError,
  type DeviceTensor,
  type HostArray,
  type TensorSpec,
} from '@rwkv-js/tensor';

/** The device that tensors belong to. */
export interface TensorOwner {
  /** Its tensors that were not disposed. */
  readonly tensors: Set<CpuTensor>;
}

/** A tensor of the reference device: an array in the process's own memory. */
export class CpuTensor implements DeviceTensor {
  readonly spec: TensorSpec;
  readonly layout = 'row-major';
  readonly label: string;
  readonly #owner: TensorOwner;
  #data: HostArray | undefined;

  constructor(owner: TensorOwner, spec: TensorSpec, label: string, data: HostArray) {
    this.spec = spec;
    this.label = label;
    this.#owner = owner;
    this.#data = data;
    owner.tensors.add(this);
  }

  get disposed(): boolean {
    return this.#data === undefined;
  }

  /** @throws UsageError when the tensor was disposed. */
  get data(): HostArray {
    if (this.#data) return this.#data;
    throw new UsageError(
      `tensor '${this.label}' was disposed and is used again; allocate a new one`,
    );
  }

  dispose(): void {
    this.#data = undefined;
    this.#owner.tensors.delete(this);
  }
}

/** An array over a tensor in a buffer, as this device keeps the dtype; bytes of a packed one. */
export function arrayOver(
  spec: TensorSpec,
  precision: 'f32' | 'f64',
  buffer: ArrayBuffer,
  byteOffset: number,
): HostArray {
  if (isPacked(spec.dtype)) return new Uint8Array(buffer, byteOffset, byteLength(spec));
  const count = elementCount(spec.shape);
  switch (spec.dtype) {
    case 'f32':
      return precision === 'f64'
        ? new Float64Array(buffer, byteOffset, count)
        : new Float32Array(buffer, byteOffset, count);
    case 'f16':
    case 'bf16':
      return new Uint16Array(buffer, byteOffset, count);
    case 'i32':
      return new Int32Array(buffer, byteOffset, count);
    case 'u32':
      return new Uint32Array(buffer, byteOffset, count);
  }
}

/**
 * Zeroed memory.
 *
 * @throws DeviceError when the process cannot have that much.
 */
export function allocateBytes(bytes: number, label: string): ArrayBuffer {
  try {
    return new ArrayBuffer(bytes);
  } catch (error) {
    throw new DeviceError(
      `device cpu has no ${bytes} bytes for '${label}'; ` +
        'use a smaller model, or give the process more memory',
      { cause: error },
    );
  }
}
