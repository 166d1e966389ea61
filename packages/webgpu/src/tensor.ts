import { UsageError, type DeviceTensor, type TensorSpec } from '@rwkv-js/tensor';

/** The device that tensors belong to. */
export interface TensorOwner {
  /** Its tensors that were not disposed. */
  readonly tensors: Set<WebGpuTensor>;
  /** Hands copies that wait to the adapter: of a buffer that is destroyed, they would be none. */
  handOver(): void;
}

/** A tensor in the memory of an adapter. */
export class WebGpuTensor implements DeviceTensor {
  readonly spec: TensorSpec;
  readonly layout: string;
  readonly label: string;
  readonly #owner: TensorOwner;
  #buffer: GPUBuffer | undefined;

  constructor(
    owner: TensorOwner,
    spec: TensorSpec,
    layout: string,
    label: string,
    buffer: GPUBuffer,
  ) {
    this.spec = spec;
    this.layout = layout;
    this.label = label;
    this.#owner = owner;
    this.#buffer = buffer;
    owner.tensors.add(this);
  }

  get disposed(): boolean {
    return this.#buffer === undefined;
  }

  /** @throws UsageError when the tensor was disposed. */
  get buffer(): GPUBuffer {
    if (this.#buffer) return this.#buffer;
    throw new UsageError(
      `tensor '${this.label}' was disposed and is used again; allocate a new one`,
    );
  }

  dispose(): void {
    if (!this.#buffer) return;
    // What was handed over keeps the memory until it has run.
    this.#owner.handOver();
    this.#buffer.destroy();
    this.#buffer = undefined;
    this.#owner.tensors.delete(this);
  }
}
