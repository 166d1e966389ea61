import type { Capabilities } from '../src/kernel.ts';

/** What every adapter offers. */
export const leastAdapter: Partial<Capabilities> = {
  subgroups: false,
  narrowestSubgroup: 0,
  subgroupMatrices: false,
  integerDot: false,
  threads: 256,
  workgroupMemory: 16384,
  bindings: 10,
  largestBinding: 2 ** 27,
};
