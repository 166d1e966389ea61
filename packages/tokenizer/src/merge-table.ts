/** The merges of a byte pair encoding: what two tokens side by side become, and how early. */
export class MergeTable {
  readonly #mask: number;
  /** Four numbers a slot: left, right, rank plus one (0: empty), result. */
  readonly #slots: Int32Array;

  /** @param count Of the merges that will be added, at most. */
  constructor(count: number) {
    const size = 2 ** Math.ceil(Math.log2(Math.max(count, 1) * 2 + 1));
    this.#mask = size - 1;
    this.#slots = new Int32Array(size * 4);
  }

  /** False if this pair is there already. */
  add(left: number, right: number, rank: number, result: number): boolean {
    const at = this.#find(left, right);
    if (this.#slots[at + 2] !== 0) return false;
    this.#slots.set([left, right, rank + 1, result], at);
    return true;
  }

  /** The rank of a pair, or -1 if it does not merge. */
  rank(left: number, right: number): number {
    return this.#slots[this.#find(left, right) + 2] - 1;
  }

  /** What a pair that merges becomes. */
  result(left: number, right: number): number {
    return this.#slots[this.#find(left, right) + 3];
  }

  #find(left: number, right: number): number {
    const slots = this.#slots;
    let hash = Math.imul(left, 0x9e3779b1) ^ Math.imul(right, 0x85ebca6b);
    hash ^= hash >>> 15;
    for (let slot = hash & this.#mask; ; slot = (slot + 1) & this.#mask) {
      const at = slot * 4;
      if (slots[at + 2] === 0 || (slots[at] === left && slots[at + 1] === right)) return at;
    }
  }
}
