import { randomBits } from '@rwkv-js/core';
import { convert, elementCount, tensor, type HostTensor, type Shape } from '@rwkv-js/tensor';

/**
 * Seeded random tensors. Every number is held by its dtype exactly, so all devices compute with the
 * same ones.
 */
export class RandomTensors {
  readonly #seed: number;
  #made = 0;

  constructor(seed: number) {
    this.#seed = seed;
  }

  /** Uniform between two numbers. */
  floats(shape: Shape, least = -1, most = 1, dtype: 'f32' | 'f16' | 'bf16' = 'f32'): HostTensor {
    const which = this.#made++;
    const values = Float32Array.from({ length: elementCount(shape) }, (_, i) => {
      const share = randomBits(this.#seed, which, i) / 2 ** 32;
      return least + share * (most - least);
    });
    return { dtype, shape, data: convert(values, 'f32', dtype) };
  }

  /** Whole numbers from `least` to `most`, both included. */
  integers(shape: Shape, least: number, most: number): HostTensor {
    const which = this.#made++;
    const values = Array.from(
      { length: elementCount(shape) },
      (_, i) => least + (randomBits(this.#seed, which, i) % (most - least + 1)),
    );
    return tensor(shape, values, 'i32');
  }
}
