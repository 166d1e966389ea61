import type { TimeMix7Ranks } from '@rwkv-js/core';
import { isPacked } from '@rwkv-js/tensor';
import type { Launcher } from '../kernels.ts';
import { blockPanelRows, isInPanels, panelRows, rowsInPanels } from '../layouts.ts';
import { allF32 } from './element-wise.ts';
import { productScratch, quantizedScratch, rowDType, weightDType } from './linear.ts';

const ranksOf = ({ w, a, v, g }: TimeMix7Ranks): readonly number[] => [w, a, v, g];

const project: Launcher = ({ inputs: [mixed, ...matrices], attributes, isParameter }) => {
  // Matrices that are trained lie row by row; products of their own take them.
  if (!isParameter.slice(1).every(Boolean)) return undefined;
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

/** Everything packed along rows, and the rows of x quantised. */
const projectPacked: Launcher = ({ inputs: [mixed, ...matrices], attributes, isParameter }) => {
  if (!isParameter.slice(1).every(Boolean)) return undefined;
  const ranks = ranksOf(attributes as TimeMix7Ranks);
  const formats = matrices.flatMap(({ dtype }) => (isPacked(dtype) ? [dtype] : []));
  const [, tokens, width] = mixed!.shape as [number, number, number];
  if (!isPacked(mixed!.dtype) || formats.length !== matrices.length) return undefined;
  if (!matrices.every(isInPanels) || formats.some(({ axis }) => axis !== -1)) return undefined;
  if (ranks.some((rank) => rank % blockPanelRows !== 0)) return undefined;
  const bits = formats.map((format) => format.bits);
  return {
    kernel: 'timeMix7ProjectPacked',
    scalars: [tokens, width, matrices[0]!.shape[0]!, ...bits, ...ranks],
    scratchBytes: quantizedScratch(tokens, width),
  };
};

const raise: Launcher = ({ inputs: [low, up, ...others], attributes }) => {
  const dtype = rowDType(up!);
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
  if (!allF32(inputs.slice(0, 8)) || size % 4 !== 0 || attributes['quantized']) return undefined;
  const { epsilon } = attributes as { epsilon: number };
  return {
    kernel: 'timeMix7Recur',
    scalars: [inputs[0]!.shape[0]!, heads, size, slots, epsilon],
    scratchBytes: 4 * 4 * size,
  };
};

export const launchTimeMix7: Readonly<Record<string, Launcher>> = {
  timeMix7Project: (operation) => project(operation) ?? projectPacked(operation),
  timeMix7Raise: raise,
  timeMix7Recur: recur,
};
