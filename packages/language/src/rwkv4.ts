import { exp, lerp, multiply, negate, sigmoid, wkv4 } from '@rwkv-js/core';
import type { Value } from '@rwkv-js/tensor';
import { gatedChannelMix } from './gated-channel-mix.ts';
import { halves, type LayerHalves, type Layer } from './layer.ts';

/** RWKV-4; specification, RWKV-4; Peng et al. 2023, arXiv 2305.13048. */
export function rwkv4(): LayerHalves {
  return halves(timeMix, gatedChannelMix('time_mix'));
}

function timeMix(x: Value, layer: Layer): Value {
  const { width, attentionWidth } = layer.config;
  const shifted = layer.shift(x, 'att_x');
  const project = (letter: string, name: string): Value =>
    layer.project(
      lerp(shifted, x, layer.vector(`att.time_mix_${letter}`, width)),
      `att.${name}.weight`,
      attentionWidth,
      width,
    );
  const r = sigmoid(project('r', 'receptance'));
  const k = project('k', 'key');
  const v = project('v', 'value');

  const logDecay = negate(exp(layer.vector('att.time_decay', attentionWidth)));
  const bonus = layer.vector('att.time_first', attentionWidth);
  const numerator = layer.state('aa', [attentionWidth]);
  const denominator = layer.state('bb', [attentionWidth]);
  const maximum = layer.state('pp', [attentionWidth], -1e30);
  const [y, ...next] = wkv4(k, v, logDecay, bonus, numerator, denominator, maximum, layer.offsets);
  [numerator, denominator, maximum].forEach((state, i) => layer.update(state, next[i]!));
  return layer.project(multiply(r, y), 'att.output.weight', width, attentionWidth);
}
