import { UsageError, type DeviceTensor, type TensorSpec } from '@rwkv-js/tensor';

/** The device that tensors belong to. */
export interface TensorOwner {
  /** Its tensors that were not disposed. */
  readonly tensors: Set<WasmTensor>;
  /** Gives memory back once the work that is queued is done. */
  release(address: number, byteLength: number): void;
}

/** A tensor in the workers' memory. */
export class WasmTensor implements DeviceTensor {
  readonly spec: TensorSpec;
  readonly layout: string;
  readonly label: string;
  readonly byteLength: number;
  readonly #owner: TensorOwner;
  #address: number | undefined;

  constructor(
    owner: TensorOwner,
    spec: TensorSpec,
    of: { readonly layout: string; readonly label: string },
    address: number,
    byteLength: number,
  ) {
    this.spec = spec;
    this.layout = of.layout;
    this.label = of.label;
    this.byteLength = byteLength;
    this.#owner = owner;
    this.#address = address;
    owner.tensors.add(this);
  }

  get disposed(): boolean {
    return this.#address === undefined;
  }

  /** @throws UsageError when the tensor was disposed. */
  get address(): number {
    if (this.#address !== undefined) return this.#address;
    throw new UsageError(
      `tensor '${this.label}' was disposed and is used again; allocate a new one`,
    );
  }

  dispose(): void {
    if (this.#address !== undefined) this.#owner.release(this.#address, this.byteLength);
    this.#address = undefined;
    this.#owner.tensors.delete(this);
  }
}
