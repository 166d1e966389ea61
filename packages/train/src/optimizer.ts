import type { AdamWSettings } from '@rwkv-js/core';
import type { Version } from '@rwkv-js/language';
import type { Shape } from '@rwkv-js/tensor';

/** How the weights follow the gradients. */
export interface OptimizerSettings extends AdamWSettings {
  /** Gradients whose norm, all tensors together, is above this are scaled down to it. */
  readonly clip: number;
}

/**
 * The official settings. Specification: training, optimizer.
 *
 * @param weightDecay 0.1 for large data; small data takes 0.001
 */
export function officialOptimizer(version: Version, weightDecay = 0.001): OptimizerSettings {
  return {
    beta1: 0.9,
    beta2: 0.99,
    epsilon: version === '7' ? 1e-18 : 1e-8,
    weightDecay,
    clip: 1,
  };
}

/** What a tensor's learning rate is multiplied by, and whether it is drawn to zero. */
export interface TensorGroup {
  readonly rateFactor: number;
  readonly decays: boolean;
}

/**
 * The group that the official optimizers put a tensor into. Decay is for the matrices alone: it hurts
 * vectors and low-rank factors. Specification: training, optimizer.
 */
export function tensorGroup(name: string, shape: Shape): TensorGroup {
  const isMatrix = shape.filter((size) => size !== 1).length >= 2;
  return {
    rateFactor: rateFactors.find(([names]) => names.test(name))?.[1] ?? 1,
    decays: isMatrix && name.endsWith('.weight'),
  };
}

const rateFactors: readonly (readonly [RegExp, number])[] = [
  [/\.att\.w0$/, 2],
  [/\.att\.time_decay$/, 2],
  [/\.att\.time_first$/, 3],
];
