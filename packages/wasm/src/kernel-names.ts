/** The kernels that assembly/index.ts exports; lists of calls name them by their places here. */
export const kernelNames = [
  'binary',
  'gatherRows',
  'groupNorm',
  'l2Normalize',
  'lerp',
  'linear',
  'moveRuns',
  'normShiftMix',
  'packedLinear',
  'quantize',
  'quantizedLinear',
  'sum',
  'timeMix7Project',
  'timeMix7ProjectPacked',
  'timeMix7Raise',
  'timeMix7Recur',
  'tokenShift',
  'unary',
  'wkv4',
  'wkv56',
  'wkv7',
] as const;

export type KernelName = (typeof kernelNames)[number];

/** Those that use the working memory that all workers share. */
export const sharingScratch: ReadonlySet<KernelName> = new Set(['normShiftMix']);
