/**
 * Scale `j` of eight, in the 12 bytes from `at` on that hold eight scales and eight minima of 6 bits
 * (Q4_K, Q5_K). specs/rwkv.md §5.6, SM.
 */
export function scaleOf(blocks: Uint8Array, at: number, j: number): number {
  if (j < 4) return blocks[at + j] & 63;
  return (blocks[at + j + 4] & 15) | ((blocks[at + j - 4] >> 6) << 4);
}

/** Minimum `j` of eight, in the same 12 bytes. */
export function minimumOf(blocks: Uint8Array, at: number, j: number): number {
  if (j < 4) return blocks[at + j + 4] & 63;
  return (blocks[at + j + 4] >> 4) | ((blocks[at + j] >> 6) << 4);
}
