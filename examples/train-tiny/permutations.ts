/** All permutations of a few things, as numbers: 0 leaves everything where it is. */
export interface Group {
  /** How many there are. */
  readonly size: number;
  /** `product(a, b)`: first a, then b. */
  product(a: number, b: number): number;
  /**
   * Nothing, and the swaps of two neighbours. All others are products of these: any order can be sorted
   * by swapping neighbours.
   */
  readonly generators: readonly number[];
}

/** The symmetric group: all permutations of `n` things, in the order of their lists. */
export function symmetricGroup(n: number): Group {
  const all = permutationsOf(Array.from({ length: n }, (_, i) => i));
  const places = new Map(all.map((permutation, place) => [permutation.join(), place]));
  const table = all.map((a) => all.map((b) => places.get(a.map((thing) => b[thing]!).join())!));
  const swaps = Array.from({ length: n - 1 }, (_, i) =>
    all[0]!
      .with(i, i + 1)
      .with(i + 1, i)
      .join(),
  );
  return {
    size: all.length,
    product: (a, b) => table[a]![b]!,
    generators: [0, ...swaps.map((swap) => places.get(swap)!)],
  };
}

function permutationsOf(things: readonly number[]): number[][] {
  if (things.length === 0) return [[]];
  return things.flatMap((first) =>
    permutationsOf(things.filter((thing) => thing !== first)).map((rest) => [first, ...rest]),
  );
}
