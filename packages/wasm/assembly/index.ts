export { barrier, join, useScratch } from './team';
export { packPanels } from './panels';
export { binary, lerp, unary } from './element-wise';
export { linear } from './linear';
export { groupNorm, l2Normalize, sum } from './norms';
export { gatherRows, moveRuns } from './moves';
