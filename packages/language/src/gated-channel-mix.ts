import { lerp, linearOfSparse, multiply, relu, sigmoid, square } from '@rwkv-js/core';
import type { Value } from '@rwkv-js/tensor';
import type { Layer } from './layer.ts';

/**
 * The channel mixing of RWKV-4, 5 and 6: a squared ReLU network, gated by the receptance.
 * Specification, channel mix of RWKV-4 and of RWKV-6.
 *
 * @param mixes what the file calls its mixes: `time_mix` of 1 takes the current token (RWKV-4 and 5),
 * `time_maa` of 1 the one before (RWKV-6)
 */
export function gatedChannelMix(mixes: 'time_mix' | 'time_maa'): (x: Value, layer: Layer) => Value {
  return (x, layer) => {
    const { width, feedForwardWidth } = layer.config;
    const shifted = layer.shift(x, 'ffn_x');
    const mix = (letter: string): Value => {
      const amount = layer.vector(`ffn.${mixes}_${letter}`, width);
      return mixes === 'time_mix' ? lerp(shifted, x, amount) : lerp(x, shifted, amount);
    };
    const key = layer.project(mix('k'), 'ffn.key.weight', feedForwardWidth, width);
    const receptance = layer.project(mix('r'), 'ffn.receptance.weight', width, width);
    const value = layer.matrix('ffn.value.weight', width, feedForwardWidth);
    return multiply(sigmoid(receptance), linearOfSparse(square(relu(key)), value));
  };
}
