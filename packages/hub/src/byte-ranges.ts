/** From `start` up to, and without, `end`. */
export interface ByteRange {
  readonly start: number;
  readonly end: number;
}

/** A set of bytes of a file, kept as ranges that neither touch nor overlap, in order. */
export class ByteRanges {
  #ranges: ByteRange[] = [];

  constructor(ranges: Iterable<ByteRange> = []) {
    for (const { start, end } of ranges) this.add(start, end);
  }

  /** How many bytes are in the set. */
  get total(): number {
    return this.#ranges.reduce((sum, { start, end }) => sum + end - start, 0);
  }

  [Symbol.iterator](): Iterator<ByteRange> {
    return this.#ranges.values();
  }

  add(start: number, end: number): void {
    if (start >= end) return;
    const apart = (range: ByteRange) => range.end < start || range.start > end;
    const touching = this.#ranges.filter((range) => !apart(range));
    const merged = {
      start: Math.min(start, ...touching.map((range) => range.start)),
      end: Math.max(end, ...touching.map((range) => range.end)),
    };
    this.#ranges = [...this.#ranges.filter(apart), merged].sort((a, b) => a.start - b.start);
  }

  delete(start: number, end: number): void {
    if (start >= end) return;
    this.#ranges = this.#ranges.flatMap((range) =>
      [
        { start: range.start, end: Math.min(range.end, start) },
        { start: Math.max(range.start, end), end: range.end },
      ].filter((rest) => rest.start < rest.end),
    );
  }

  /** True when all of the range is in the set. */
  covers(start: number, end: number): boolean {
    return this.firstGap(start, end) === undefined;
  }

  /** The first stretch of the range that is not in the set; undefined when all of it is. */
  firstGap(start: number, end: number): ByteRange | undefined {
    let at = start;
    for (const range of this.#ranges) {
      if (range.end <= at) continue;
      if (range.start > at)
        return at < end ? { start: at, end: Math.min(range.start, end) } : undefined;
      at = range.end;
    }
    return at < end ? { start: at, end } : undefined;
  }
}
