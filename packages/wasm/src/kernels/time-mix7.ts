import type { TimeMix7Ranks } from '@rwkv-js/core';
import type { Launcher } from '../kernels.ts';
import { panelRows, rowsInPanels } from '../layouts.ts';
import { allF32 } from './element-wise.ts';
import { productScratch, weightDType } from './linear.ts';

const ranksOf = ({ w, a, v, g }: TimeMix7Ranks): readonly number[] => [w, a, v, g];

const project: Launcher = ({ inputs: [mixed, ...matrices], attributes }) => {
  const dtypes = matrices.map(weightDType);
  const ranks = ranksOf(attributes as TimeMix7Ranks);
  if (!allF32([mixed!]) || dtypes.includes(undefined)) return undefined;
  // The parts of `down` are products of their own, each of whole panels.
  if (ranks.some((rank) => rank % panelRows !== 0)) return undefined;
  const [, tokens, width] = mixed!.shape as [number, number, number];
  const rows = matrices[0]!.shape[0]!;
  return {
    kernel: 'timeMix7Project',
    scalars: [tokens, width, rows, rowsInPanels(rows), ...(dtypes as number[]), ...ranks],
    scratchBytes: productScratch(tokens, width),
  };
};

const raise: Launcher = ({ inputs: [low, up, ...others], attributes }) => {
  const dtype = weightDType(up!);
  const [tokens, total] = low!.shape as [number, number];
  const width = up!.shape[1]!;
  if (!allF32([low!, ...others]) || dtype === undefined || width % 8 !== 0) return undefined;
  const ranks = ranksOf(attributes as TimeMix7Ranks);
  return {
    kernel: 'timeMix7Raise',
    scalars: [tokens, width, dtype, ...ranks],
    // Activated rows, and the weights of eight channels.
    scratchBytes: 4 * total * tokens + 32 * Math.max(...ranks),
  };
};

const recur: Launcher = ({ inputs, attributes }) => {
  const [slots, heads, size] = inputs[7]!.shape as [number, number, number];
  if (!allF32(inputs.slice(0, 8)) || size % 4 !== 0) return undefined;
  const { epsilon } = attributes as { epsilon: number };
  return {
    kernel: 'timeMix7Recur',
    scalars: [inputs[0]!.shape[0]!, heads, size, slots, epsilon],
    scratchBytes: 4 * 4 * size,
  };
};

export const launchTimeMix7: Readonly<Record<string, Launcher>> = {
  timeMix7Project: project,
  timeMix7Raise: raise,
  timeMix7Recur: recur,
};
