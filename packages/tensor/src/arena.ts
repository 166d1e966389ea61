/** When a value is first written and last read, as places in the list of operations, and its size. */
export interface Lifetime {
  readonly first: number;
  readonly last: number;
  /** Bytes, already rounded up to the device's alignment. */
  readonly byteLength: number;
}

/**
 * Places values in one arena so that no two that live at the same time overlap. Largest first, each
 * at the lowest offset that is free for its whole life: simple, and near the optimum for networks
 * (Pisarchyk and Lee 2020, arXiv 2001.03288).
 *
 * @returns offsets in the order of `lifetimes`, and the bytes of the arena
 */
export function placeInArena(lifetimes: readonly Lifetime[]): {
  readonly offsets: readonly number[];
  readonly byteLength: number;
} {
  const offsets = new Array<number>(lifetimes.length).fill(0);
  const bySize = lifetimes
    .map((_, index) => index)
    .sort((a, b) => lifetimes[b]!.byteLength - lifetimes[a]!.byteLength || a - b);
  const placed: number[] = [];
  let byteLength = 0;
  for (const index of bySize) {
    const life = lifetimes[index]!;
    const neighbours = placed
      .filter((other) => {
        const otherLife = lifetimes[other]!;
        return otherLife.first <= life.last && life.first <= otherLife.last;
      })
      .sort((a, b) => offsets[a]! - offsets[b]!);
    let offset = 0;
    for (const other of neighbours) {
      if (offset + life.byteLength <= offsets[other]!) break;
      offset = Math.max(offset, offsets[other]! + lifetimes[other]!.byteLength);
    }
    offsets[index] = offset;
    placed.push(index);
    byteLength = Math.max(byteLength, offset + life.byteLength);
  }
  return { offsets, byteLength };
}
