import {
  concat,
  linear,
  linearOfSparse,
  linearSquaredRelu,
  normShiftMix,
  reshape,
  timeMix7Project,
  timeMix7RaiseRecur,
  transpose,
  type TimeMix7Ranks,
} from '@rwkv-js/core';
import type { Value } from '@rwkv-js/tensor';
import { layerNormEpsilon } from './config.ts';
import type { LayerHalves, Layer, Stream } from './layer.ts';

/**
 * RWKV-7 (x070, "Goose"); specification, RWKV-7; Peng et al. 2025, arXiv 2503.14456.
 *
 * A layer is seven composites, which a device can have kernels for. What each of them computes, in the
 * words of the paper, is its lowering in core/src/composites.
 */
export function rwkv7(): LayerHalves {
  // Layer 0's value of each token, which the layers above mix into theirs.
  let firstValue: Value | undefined;

  function timeMix(stream: Stream, layer: Layer): Stream {
    const { width, attentionWidth, heads, headSize, groupNormEpsilon } = layer.config;
    const project = (name: string): Value =>
      layer.matrix(`att.${name}.weight`, attentionWidth, width);
    const ranks = ranksOf(layer);
    const { down, up } = lowRankFactors(layer, ranks);

    const [receptance, key, values] = ['receptance', 'key', 'value'].map(project);
    const [x, mixed] = begin(stream, layer, {
      norm: 'ln1',
      state: 'att_x',
      mixes: 'att.x_r att.x_w att.x_k att.x_v att.x_a att.x_g',
      weights: [receptance!, key!, values!, down],
    });
    const [r, k, value, low] = timeMix7Project(mixed, receptance!, key!, values!, down, ranks);
    const vectors = rows(
      layer,
      `att.w0 att.a0 ${ranks.v > 0 ? 'att.v0 ' : ''}att.k_k att.k_a att.r_k att.ln_x.weight att.ln_x.bias`,
    );
    const state = layer.state('wkv', [heads, headSize, headSize]);
    const output = layer.matrix('att.output.weight', width, attentionWidth);
    const [y, next] = timeMix7RaiseRecur(
      [low, up, vectors, r, k, value, state, layer.offsets, ranks.v > 0 ? firstValue : undefined],
      {
        ...ranks,
        epsilon: groupNormEpsilon,
        ...(layer.takesQuantized([output]) && { quantized: true }),
      },
    );
    firstValue ??= value;
    layer.update(state, next);
    return { x, delta: linear(y, output) };
  }

  function channelMix(stream: Stream, layer: Layer): Stream {
    const { width, feedForwardWidth } = layer.config;
    const key = layer.matrix('ffn.key.weight', feedForwardWidth, width);
    const value = layer.matrix('ffn.value.weight', width, feedForwardWidth);
    const [x, mixed] = begin(stream, layer, {
      norm: 'ln2',
      state: 'ffn_x',
      mixes: 'ffn.x_k',
      weights: [key],
    });
    const hidden = linearSquaredRelu(reshape(mixed, { shape: x.shape }), key);
    return { x, delta: linearOfSparse(hidden, value) };
  }

  return { timeMix, channelMix };
}

/** What the beginnings of the halves differ in. */
interface Beginning {
  readonly norm: string;
  readonly state: string;
  readonly mixes: string;
  /** What the mixed rows are multiplied with. */
  readonly weights: readonly Value[];
}

/** The beginning of both halves: what was left is added, normalised, and mixed with the token before. */
function begin(
  { x, delta }: Stream,
  layer: Layer,
  { norm, state: stateName, mixes, weights }: Beginning,
): readonly [x: Value, mixed: Value] {
  const { width } = layer.config;
  const state = layer.state(stateName, [width]);
  const weight = layer.vector(`${norm}.weight`, width);
  const bias = layer.vector(`${norm}.bias`, width);
  const [sum, mixed, next] = normShiftMix(
    [x, weight, bias, rows(layer, mixes), state, layer.offsets, delta],
    { epsilon: layerNormEpsilon, ...(layer.takesQuantized(weights) && { quantized: true }) },
  );
  layer.update(state, next);
  return [sum, mixed];
}

/** Vectors of a layer as the rows of one matrix, made once at load: fewer buffers for a kernel. */
function rows(layer: Layer, names: string): Value {
  const { width, attentionWidth, heads, headSize } = layer.config;
  const parts = names.split(' ').map((name) => {
    const shape =
      name === 'att.r_k' ? [heads, headSize] : [/\.x_/.test(name) ? width : attentionWidth];
    const vector = layer.vector(name, ...shape);
    return reshape(vector, { shape: [1, shape.reduce((a, b) => a * b)] });
  });
  return concat(parts, { axis: 0 });
}

function ranksOf(layer: Layer): TimeMix7Ranks {
  const { w, a, v, g } = layer.config.ranks as TimeMix7Ranks;
  return { w, a, v: layer.index === 0 ? 0 : v, g };
}

/** The low-rank factors, joined: down transposed to [rank, width], up as stored [rank, attention]. */
function lowRankFactors(layer: Layer, ranks: TimeMix7Ranks): { down: Value; up: Value } {
  const { width, attentionWidth } = layer.config;
  const letters = (['w', 'a', 'v', 'g'] as const).filter((letter) => ranks[letter] > 0);
  const shapes = (which: 1 | 2): Record<string, readonly number[]> =>
    Object.fromEntries(
      letters.map((letter) => [
        `att.${letter}${which}`,
        which === 1 ? [width, ranks[letter]] : [ranks[letter], attentionWidth],
      ]),
    );
  return {
    down: concat(
      layer.matrices(shapes(1)).map((factor) => transpose(factor)),
      { axis: 0 },
    ),
    up: concat(layer.matrices(shapes(2)), { axis: 0 }),
  };
}
