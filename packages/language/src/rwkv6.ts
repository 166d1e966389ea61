import {
  add,
  exp,
  groupNorm,
  lerp,
  linear,
  multiply,
  negate,
  reshape,
  silu,
  slice,
  tanh,
  transpose,
  wkv6,
} from '@rwkv-js/core';
import type { Value } from '@rwkv-js/tensor';
import { gatedChannelMix } from './gated-channel-mix.ts';
import { halves, type LayerHalves, type Layer } from './layer.ts';

/** RWKV-6 (x060, "Finch"); specification, RWKV-6; Peng et al. 2024, arXiv 2404.05892. */
export function rwkv6(): LayerHalves {
  return halves(timeMix, gatedChannelMix('time_maa'));
}

function timeMix(x: Value, layer: Layer): Value {
  const { width, attentionWidth, heads, headSize, ranks, groupNormEpsilon } = layer.config;
  const channels = (name: string): Value => layer.vector(`att.${name}`, attentionWidth);
  const project = (input: Value, name: string): Value =>
    layer.project(input, `att.${name}.weight`, attentionWidth, width);

  const [xw, xk, xv, xr, xg] = dataDependentMixes(x, layer);
  const r = project(xr!, 'receptance');
  const k = project(xk!, 'key');
  const v = project(xv!, 'value');
  const gate = silu(project(xg!, 'gate'));

  const down = transpose(layer.matrix('att.time_decay_w1', width, ranks.decay!));
  const up = transpose(layer.matrix('att.time_decay_w2', ranks.decay!, attentionWidth));
  const logLogDecay = add(
    linear(tanh(linear(layer.activations(xw!, [down]), down)), up),
    channels('time_decay'),
  );
  const decay = exp(negate(exp(logLogDecay)));

  const bonus = layer.vector('att.time_faaaa', heads, headSize);
  const state = layer.state('wkv', [heads, headSize, headSize]);
  const [y, next] = wkv6(r, k, v, decay, bonus, state, layer.offsets);
  layer.update(state, next);

  const normed = groupNorm(y, channels('ln_x.weight'), channels('ln_x.bias'), {
    groups: heads,
    epsilon: groupNormEpsilon,
  });
  return layer.project(multiply(normed, gate), 'att.output.weight', width, attentionWidth);
}

/**
 * The inputs of decay, key, value, receptance and gate, in this order: each token mixed with the one
 * before, by amounts that depend on the token through a low-rank map.
 */
function dataDependentMixes(x: Value, layer: Layer): readonly Value[] {
  const { width, ranks } = layer.config;
  const rank = ranks.maa!;
  const shifted = layer.shift(x, 'att_x');
  const first = lerp(x, shifted, layer.vector('att.time_maa_x', width));
  const down = transpose(layer.matrix('att.time_maa_w1', width, 5 * rank));
  const ups = layer.matrix('att.time_maa_w2', 5, rank, width);
  const inner = tanh(linear(layer.activations(first, [down]), down));
  return ['w', 'k', 'v', 'r', 'g'].map((letter, i) => {
    const part = slice(inner, { axis: 1, start: i * rank, end: (i + 1) * rank });
    const up = reshape(slice(ups, { axis: 0, start: i, end: i + 1 }), { shape: [rank, width] });
    const amount = add(linear(part, transpose(up)), layer.vector(`att.time_maa_${letter}`, width));
    return lerp(x, shifted, amount);
  });
}
