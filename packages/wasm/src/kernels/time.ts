import type { Launcher } from '../kernels.ts';
import { allF32 } from './element-wise.ts';

const tokenShift: Launcher = ({ inputs: [x, state] }) => {
  if (!allF32([x!, state!])) return undefined;
  const [tokens, width] = x!.shape as [number, number];
  return { kernel: 'tokenShift', scalars: [tokens, width, state!.shape[0]!] };
};

const normShiftMix: Launcher = ({ inputs, attributes }) => {
  const [x, , , mixes, state, , delta] = inputs;
  if (!allF32(inputs.filter((_, i) => i !== 5)) || attributes['quantized']) return undefined;
  const [tokens, width] = x!.shape as [number, number];
  const [slots, count] = [state!.shape[0]!, mixes!.shape[0]!];
  const { epsilon } = attributes as { epsilon: number };
  return {
    kernel: 'normShiftMix',
    scalars: [tokens, width, slots, count, epsilon, delta ? 1 : 0],
    // Mean and scale of every row for all workers; a row of channels for each.
    scratchBytes: Math.max(8 * tokens, 4 * width),
  };
};

const wkv4: Launcher = ({ inputs }) => {
  if (!allF32(inputs.slice(0, 7))) return undefined;
  const [tokens, width] = inputs[0]!.shape as [number, number];
  return { kernel: 'wkv4', scalars: [tokens, width, inputs[4]!.shape[0]!] };
};

const wkv56: Launcher = ({ definition, inputs }) => {
  const [slots, heads, size] = inputs[5]!.shape as [number, number, number];
  if (!allF32(inputs.slice(0, 6)) || size % 8 !== 0) return undefined;
  const byToken = definition.name === 'wkv6' ? 1 : 0;
  return { kernel: 'wkv56', scalars: [inputs[0]!.shape[0]!, heads, size, slots, byToken] };
};

const wkv7: Launcher = ({ inputs }) => {
  const [slots, heads, size] = inputs[6]!.shape as [number, number, number];
  if (!allF32(inputs.slice(0, 7)) || size % 4 !== 0) return undefined;
  return { kernel: 'wkv7', scalars: [inputs[0]!.shape[0]!, heads, size, slots] };
};

export const launchTime: Readonly<Record<string, Launcher>> = {
  tokenShift,
  normShiftMix,
  wkv4,
  wkv5: wkv56,
  wkv6: wkv56,
  wkv7,
};
