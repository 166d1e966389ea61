import {
  add,
  exp,
  groupNorm,
  l2Normalize,
  lerp,
  linear,
  multiply,
  negate,
  relu,
  reshape,
  scale,
  sigmoid,
  square,
  sum,
  tanh,
  transpose,
  wkv7,
} from '@rwkv-js/core';
import type { Value } from '@rwkv-js/tensor';
import type { Generation, Layer } from './layer.ts';

/** RWKV-7 (x070, "Goose"); specification, RWKV-7; Peng et al. 2025, arXiv 2503.14456. */
export function rwkv7(): Generation {
  // Layer 0's value of each token, which the layers above mix into theirs.
  let firstValue: Value;

  function timeMix(x: Value, layer: Layer): Value {
    const { width, attentionWidth, heads, headSize, groupNormEpsilon } = layer.config;
    const shifted = layer.shift(x, 'att_x');
    const mix = (name: string): Value => lerp(x, shifted, layer.vector(`att.${name}`, width));
    const project = (input: Value, name: string): Value =>
      linear(input, layer.matrix(`att.${name}.weight`, attentionWidth, width));
    const channels = (name: string): Value => layer.vector(`att.${name}`, attentionWidth);
    const byHead = (rows: Value): Value =>
      reshape(rows, { shape: [rows.shape[0]!, heads, headSize] });
    const byRow = (parts: Value): Value =>
      reshape(parts, { shape: [parts.shape[0]!, attentionWidth] });

    const r = project(mix('x_r'), 'receptance');
    const key = project(mix('x_k'), 'key');
    const value = project(mix('x_v'), 'value');
    const decay = exp(
      scale(sigmoid(lora(mix('x_w'), layer, 'w', tanh)), { factor: -Math.exp(-0.5) }),
    );
    const rate = sigmoid(lora(mix('x_a'), layer, 'a'));
    const gate = linear(
      sigmoid(linear(mix('x_g'), transpose(layer.matrix('att.g1', width, layer.config.ranks.g!)))),
      transpose(layer.matrix('att.g2', layer.config.ranks.g!, attentionWidth)),
    );

    if (layer.index === 0) firstValue = value;
    const v =
      layer.index === 0 ? value : lerp(value, firstValue, sigmoid(lora(mix('x_v'), layer, 'v')));
    // κ comes from the key before k_a scales it; state and bonus take the key after.
    const kappa = byRow(l2Normalize(byHead(multiply(key, channels('k_k')))));
    const k = lerp(key, multiply(key, rate), channels('k_a'));

    const state = layer.state('wkv', [heads, headSize, headSize]);
    const a = negate(kappa);
    const b = multiply(kappa, rate);
    const [read, next] = wkv7(r, decay, k, v, a, b, state, layer.offsets);
    layer.update(state, next);

    const normed = groupNorm(read, channels('ln_x.weight'), channels('ln_x.bias'), {
      groups: heads,
      epsilon: groupNormEpsilon,
    });
    const r_k = layer.vector('att.r_k', heads, headSize);
    const agreement = sum(multiply(byHead(multiply(r, k)), r_k));
    const bonus = byRow(multiply(agreement, byHead(v)));
    const gated = multiply(add(normed, bonus), gate);
    return linear(gated, layer.matrix('att.output.weight', width, attentionWidth));
  }

  function channelMix(x: Value, layer: Layer): Value {
    const { width, feedForwardWidth } = layer.config;
    const mixed = lerp(x, layer.shift(x, 'ffn_x'), layer.vector('ffn.x_k', width));
    const key = linear(mixed, layer.matrix('ffn.key.weight', feedForwardWidth, width));
    return linear(square(relu(key)), layer.matrix('ffn.value.weight', width, feedForwardWidth));
  }

  return { timeMix, channelMix };
}

/** A low-rank map with a bias: up(activation(down(x))) + bias, factors stored [in, out]. */
function lora(
  x: Value,
  layer: Layer,
  letter: 'w' | 'a' | 'v',
  activation: (x: Value) => Value = (inner) => inner,
): Value {
  const { width, attentionWidth, ranks } = layer.config;
  const down = transpose(layer.matrix(`att.${letter}1`, width, ranks[letter]!));
  const up = transpose(layer.matrix(`att.${letter}2`, ranks[letter]!, attentionWidth));
  return add(
    linear(activation(linear(x, down)), up),
    layer.vector(`att.${letter}0`, attentionWidth),
  );
}
