import type { Capabilities } from '../src/kernel.ts';

/** What Chromium has on a common adapter. */
export const commonAdapter: Capabilities = {
  subgroups: true,
  narrowestSubgroup: 32,
  subgroupMatrices: false,
  integerDot: true,
  threads: 256,
  workgroupMemory: 32768,
  bindings: 10,
  largestBinding: 2 ** 31 - 4,
};
