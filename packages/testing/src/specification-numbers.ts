/**
 * The test numbers of the specification's appendix: spread over [−1, 1), exact in double precision.
 *
 * @returns element n of the sequence
 */
export function specificationNumber(n: number): number {
  return ((31 * n * n + 7919 * n + 1013) % 65537) / 32768 - 1;
}

/** The array that the appendix calls `arr(k, shape)`, row-major: element e is number 1000·k + e. */
export function specificationArray(k: number, count: number): Float64Array {
  return Float64Array.from({ length: count }, (_, e) => specificationNumber(1000 * k + e));
}
