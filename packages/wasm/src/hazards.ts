/** A range of memory and what a call does with it. */
export interface UsedRange {
  readonly start: number;
  readonly byteLength: number;
  readonly access: 'read' | 'write' | 'readwrite';
}

/**
 * Finds the places in a list of calls where workers must wait for each other: before a call that touches
 * what a call since the last such place has written, or writes what it has read. Calls between two places
 * go on side by side.
 */
export class Hazards {
  #reads: UsedRange[] = [];
  #writes: UsedRange[] = [];
  #shares = false;

  /**
   * Takes the next call.
   *
   * @param shares whether it uses the working memory that all workers share
   */
  needBarrier(ranges: readonly UsedRange[], shares: boolean): boolean {
    const reads = ranges.filter(({ access }) => access !== 'write');
    const writes = ranges.filter(({ access }) => access !== 'read');
    const needed =
      (shares && this.#shares) ||
      meet(reads, this.#writes) ||
      meet(writes, this.#writes) ||
      meet(writes, this.#reads);
    if (needed) {
      this.#reads = [];
      this.#writes = [];
      this.#shares = false;
    }
    this.#reads.push(...reads);
    this.#writes.push(...writes);
    this.#shares ||= shares;
    return needed;
  }
}

function meet(some: readonly UsedRange[], others: readonly UsedRange[]): boolean {
  return some.some((a) =>
    others.some((b) => a.start < b.start + b.byteLength && b.start < a.start + a.byteLength),
  );
}
