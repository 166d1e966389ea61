/** Token ids of which nobody knows yet how many they will be. */
export class IdList {
  #ids: Uint32Array;
  #length = 0;

  constructor(expected: number) {
    this.#ids = new Uint32Array(Math.max(16, expected));
  }

  push(id: number): void {
    if (this.#length === this.#ids.length) this.#grow(this.#length + 1);
    this.#ids[this.#length++] = id;
  }

  /** Appends `ids[start]` up to `end`. */
  append(ids: ArrayLike<number>, start: number, end: number): void {
    const total = this.#length + end - start;
    if (total > this.#ids.length) this.#grow(total);
    // A word is a few tokens: a plain loop beats a subarray and set for each.
    for (let at = start; at < end; at++) this.#ids[this.#length++] = ids[at];
  }

  take(): Uint32Array {
    return this.#ids.slice(0, this.#length);
  }

  #grow(least: number): void {
    const longer = new Uint32Array(Math.max(least, this.#ids.length * 2));
    longer.set(this.#ids);
    this.#ids = longer;
  }
}
