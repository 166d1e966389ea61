import { elementCount } from '@rwkv-js/tensor';
import type { Launcher } from '../kernels.ts';
import { allF32 } from './element-wise.ts';

const groupNorm: Launcher = ({ inputs, attributes }) => {
  if (!allF32(inputs)) return undefined;
  const [tokens, width] = inputs[0]!.shape as [number, number];
  const { groups = 1, epsilon } = attributes as { groups?: number; epsilon: number };
  return { kernel: 'groupNorm', scalars: [tokens, groups, width / groups, epsilon] };
};

const onRows =
  (kernel: 'l2Normalize' | 'sum'): Launcher =>
  ({ inputs }) => {
    const { shape } = inputs[0]!;
    const size = shape.at(-1)!;
    if (!allF32(inputs) || size === 0) return undefined;
    return { kernel, scalars: [elementCount(shape) / size, size] };
  };

export const launchNorm: Readonly<Record<string, Launcher>> = {
  groupNorm,
  layerNorm: groupNorm,
  l2Normalize: onRows('l2Normalize'),
  sum: onRows('sum'),
};
