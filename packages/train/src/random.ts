import { randomBits } from '@rwkv-js/core';

/** Random numbers of one tensor, by place: the same seed gives the same numbers, asked in any order. */
export class RandomNumbers {
  readonly #seed: number;
  readonly #stream: number;

  /** @param stream which of the sequences of this seed, such as the tensor's place among all */
  constructor(seed: number, stream: number) {
    this.#seed = seed;
    this.#stream = stream;
  }

  /** Uniform in [−range, range). */
  uniform(place: number, range: number): number {
    return range * (randomBits(this.#seed, this.#stream, place) / 2 ** 31 - 1);
  }

  /** Of the standard normal distribution (Box and Muller 1958). */
  normal(place: number): number {
    const [a, b] = [2 * place, 2 * place + 1].map((at) => randomBits(this.#seed, this.#stream, at));
    // From above 0 to 1, as 0 has no logarithm.
    const radius = Math.sqrt(-2 * Math.log((a! + 1) / 2 ** 32));
    return radius * Math.cos((2 * Math.PI * b!) / 2 ** 32);
  }
}
