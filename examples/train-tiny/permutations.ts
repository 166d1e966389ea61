/** All permutations of a few things, as numbers: 0 leaves everything where it is. */
export interface Group {
  /** How many there are. */
  readonly size: number;
  /** `product(a, b)`: first a, then b. */
  product(a: number, b: number): number;
  /** Those that leave everything in place or exchange two things: all others are products of these. */
  readonly swaps: readonly number[];
}

/** The symmetric group: all permutations of `n` things, in the order of their lists. */
export function symmetricGroup(n: number): Group {
  const all = permutationsOf(Array.from({ length: n }, (_, i) => i));
  const places = new Map(all.map((permutation, place) => [permutation.join(), place]));
  const table = all.map((a) => all.map((b) => places.get(a.map((thing) => b[thing]!).join())!));
  const moved = (permutation: readonly number[]): number =>
    permutation.filter((thing, place) => thing !== place).length;
  return {
    size: all.length,
    product: (a, b) => table[a]![b]!,
    swaps: all.flatMap((permutation, place) => (moved(permutation) <= 2 ? [place] : [])),
  };
}

function permutationsOf(things: readonly number[]): number[][] {
  if (things.length === 0) return [[]];
  return things.flatMap((first) =>
    permutationsOf(things.filter((thing) => thing !== first)).map((rest) => [first, ...rest]),
  );
}
