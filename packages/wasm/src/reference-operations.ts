import * as core from '@rwkv-js/core';
import { accumulate, assign, type OpDefinition } from '@rwkv-js/tensor';

/**
 * The operations that this device has no kernel for and runs in core's reference loops, on its first
 * worker. Those that have kernels are here too, for the shapes and dtypes that the kernels do not take.
 * An operation that is not here is not run: workers know what is bundled with them alone.
 */
const operations = [
  accumulate,
  assign,
  core.adamW,
  core.add,
  core.broadcastTo,
  core.clipByNorm,
  core.concat,
  core.crossEntropy,
  core.crossEntropyBackward,
  core.exp,
  core.gatherRows,
  core.groupNorm,
  core.groupNormBackward,
  core.keepDrawn,
  core.l2Normalize,
  core.l2NormalizeBackward,
  core.layerNorm,
  core.lerp,
  core.linear,
  core.multiply,
  core.negate,
  core.pad,
  core.quantize,
  core.relu,
  core.reluBackward,
  core.resolveTokens,
  core.sample,
  core.scale,
  core.scatterRows,
  core.sigmoid,
  core.silu,
  core.slice,
  core.sqrt,
  core.square,
  core.subtract,
  core.sum,
  core.sumOfSquares,
  core.sumTo,
  core.tanh,
  core.tokenLogProbability,
  core.tokenLogProbabilityBackward,
  core.tokenShift,
  core.tokenShiftBackward,
  core.transpose,
  core.wkv4,
  core.wkv4Backward,
  core.wkv5,
  core.wkv5Backward,
  core.wkv6,
  core.wkv6Backward,
  core.wkv7,
  core.wkv7Backward,
  core.zerosLike,
];

/** Definitions by name. */
export const referenceOperations: ReadonlyMap<string, OpDefinition> = new Map(
  operations.map(({ definition }) => [definition.name, definition]),
);
