/**
 * Cells of the shared memory's first kilobyte, as places of 32-bit words. Each that is waited on lies in a
 * cache line of its own. assembly/team.ts keeps the cells of the barrier.
 */
export const control = {
  /** Counts runs; workers that are parked sleep on it. */
  runs: 64,
  /** What the run at hand is: where its list lies, and the working memory, as base and stride. */
  list: 80,
  scratch: 81,
  stride: 82,
} as const;

/** Where memory for tensors begins: the first page holds the control cells. */
export const firstAddress = 65536;

/** All memory that 32-bit addresses reach. */
export const addressSpace = 2 ** 32;

export const pageBytes = 65536;
