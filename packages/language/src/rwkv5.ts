import {
  broadcastTo,
  exp,
  groupNorm,
  lerp,
  multiply,
  negate,
  reshape,
  silu,
  wkv5,
} from '@rwkv-js/core';
import type { Value } from '@rwkv-js/tensor';
import { gatedChannelMix } from './gated-channel-mix.ts';
import { halves, type LayerHalves, type Layer } from './layer.ts';

/** RWKV-5.0, 5.1 and 5.2 ("Eagle"); specification, RWKV-5; Peng et al. 2024, arXiv 2404.05892. */
export function rwkv5(): LayerHalves {
  return halves(timeMix, gatedChannelMix('time_mix'));
}

function timeMix(x: Value, layer: Layer): Value {
  const { version, width, attentionWidth, heads, headSize, groupNormEpsilon } = layer.config;
  const shifted = layer.shift(x, 'att_x');
  const project = (letter: string, name: string): Value =>
    layer.project(
      lerp(shifted, x, layer.vector(`att.time_mix_${letter}`, width)),
      `att.${name}.weight`,
      attentionWidth,
      width,
    );
  const r = project('r', 'receptance');
  const k = project('k', 'key');
  const v = project('v', 'value');

  const decay = exp(negate(exp(headVector(layer, 'time_decay'))));
  // The name says the form: time_first is the bonus's logarithm, time_faaaa the bonus itself.
  const bonus = layer.has('att.time_first')
    ? exp(headVector(layer, 'time_first'))
    : headVector(layer, 'time_faaaa');
  const state = layer.state('wkv', [heads, headSize, headSize]);
  const [y, next] = wkv5(r, k, v, decay, bonus, state, layer.offsets);
  layer.update(state, next);

  const normed = groupNorm(
    y,
    layer.vector('att.ln_x.weight', attentionWidth),
    layer.vector('att.ln_x.bias', attentionWidth),
    { groups: heads, epsilon: groupNormEpsilon },
  );
  const gated = version === '5.0' ? normed : multiply(normed, silu(project('g', 'gate')));
  return layer.project(gated, 'att.output.weight', width, attentionWidth);
}

/** A vector for each head [heads, headSize]; 5.0 and 5.1 have one number for a head's channels. */
function headVector(layer: Layer, name: string): Value {
  const { version, heads, headSize } = layer.config;
  if (version === '5.2') return layer.vector(`att.${name}`, heads, headSize);
  const perHead = reshape(layer.vector(`att.${name}`, heads), { shape: [heads, 1] });
  return broadcastTo(perHead, { shape: [heads, headSize] });
}
