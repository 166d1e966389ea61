import {
  DeviceError,
  dtypeName,
  elementCount,
  isPacked,
  UsageError,
  type DeviceTensor,
  type HostArray,
  type PlainDType,
  type TensorSpec,
} from '@rwkv-js/tensor';

/** A tensor of the reference device: an array in the process's own memory. */
export class CpuTensor implements DeviceTensor {
  readonly spec: TensorSpec;
  readonly layout = 'row-major';
  readonly label: string;
  #data: HostArray | undefined;

  constructor(spec: TensorSpec, label: string, data: HostArray) {
    this.spec = spec;
    this.label = label;
    this.#data = data;
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
  }
}

/** Bytes of one element on this device. */
export function elementBytes(dtype: PlainDType, precision: 'f32' | 'f64'): number {
  if (dtype === 'f16' || dtype === 'bf16') return 2;
  return dtype === 'f32' && precision === 'f64' ? 8 : 4;
}

/** An array over `count` elements of a buffer, as this device keeps the dtype. */
export function arrayOver(
  spec: TensorSpec,
  precision: 'f32' | 'f64',
  buffer: ArrayBuffer,
  byteOffset: number,
): HostArray {
  const count = elementCount(spec.shape);
  switch (plain(spec)) {
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
export function allocateBytes(byteLength: number, label: string): ArrayBuffer {
  try {
    return new ArrayBuffer(byteLength);
  } catch (error) {
    throw new DeviceError(
      `device cpu has no ${byteLength} bytes for '${label}'; ` +
        'use a smaller model, or give the process more memory',
      { cause: error },
    );
  }
}

/** The dtype of a spec, which this device takes only when it is not packed. */
export function plain(spec: TensorSpec): PlainDType {
  if (!isPacked(spec.dtype)) return spec.dtype;
  throw new UsageError(
    `device cpu keeps plain dtypes only and was given ${dtypeName(spec.dtype)}; convert it to f16`,
  );
}
