import {
  crossEntropy,
  gatherRows,
  keepDrawn,
  layerNorm,
  linear,
  resolveTokens,
  sample,
  sampleSettings,
  tokenLogProbability,
} from '@rwkv-js/core';
import {
  f32,
  i32,
  record,
  type KernelTable,
  type Program,
  type Recorder,
  type TensorSpec,
  type Value,
} from '@rwkv-js/tensor';
import { layerNormEpsilon, type ModelConfig } from './config.ts';
import { asActivations, makeLayer, settle, type DTypes, type Stream } from './layer.ts';
import { rwkv4 } from './rwkv4.ts';
import { rwkv5 } from './rwkv5.ts';
import { rwkv6 } from './rwkv6.ts';
import { rwkv7 } from './rwkv7.ts';

const generations = {
  '4': rwkv4,
  '5.0': rwkv5,
  '5.1': rwkv5,
  '5.2': rwkv5,
  '6': rwkv6,
  '7': rwkv7,
} as const;

/** What a step program is recorded for. */
export interface StepShape {
  /** Rows of tokens that it takes, padding included. */
  readonly tokens: number;
  /** Sequences whose states it holds. */
  readonly slots: number;
  /** Rows of logits that it gives. */
  readonly rows: number;
  /** What products with packed weights take, as the device's kernel table says; f32 without it. */
  readonly activations?: KernelTable['activations'];
  /** Steps that run before what they drew is read back: so many drawn tokens are kept. Default 1. */
  readonly stepsPerReadback?: number;
  /** Records the step of training, whose weights are f32 states and whose end is a loss. */
  readonly trainable?: boolean;
  /** How strongly a trainable step's gradient draws the largest logit of each row towards 0. */
  readonly l2Wrap?: number;
}

/**
 * Records one step of a model: `tokens` rows of packed sequences in, `rows` rows of logits out.
 *
 * Inputs: `tokens` i32 [tokens], −1 for the one that was drawn last for its sequence (padding is token
 * 0); `offsets` i32 [slots + 1], where each sequence's rows begin; and for each row of logits, −1 where
 * there is none: `logitRows` i32 [rows], the token row it comes from; `sampleSlots` i32 [rows], the slot
 * to draw a token for, one row at most for each; `targets` i32 [rows], the token to score. `settings`
 * and `random` are those of `sample`, for each slot.
 * Outputs: `logits` f32 [rows, vocabulary]; `logProbabilities` f32 [rows]. What was drawn is a state,
 * since the next step may begin with it: `sampler.drawn` i32 [slots, stepsPerReadback], the newest last.
 *
 * A trainable step draws nothing: it takes `tokens`, `offsets`, `logitRows` and `targets`, and gives
 * `logits` and `loss` f32 [], the mean cross-entropy of the rows with a target. Its weights are states of
 * their names, f32, so that another program can update them where they lie, and nothing is folded.
 * Specification: the language frame.
 */
export function recordStep(config: ModelConfig, dtypes: DTypes, shape: StepShape): Program {
  const { activations = 'f32' } = shape;
  const name = `rwkv-${config.version} step of ${shape.tokens} tokens, ${shape.rows} rows`;
  return record(name, (recorder) => {
    const tokens = recorder.input('tokens', i32(shape.tokens));
    const offsets = recorder.input('offsets', i32(shape.slots + 1));
    const logitRows = recorder.input('logitRows', i32(shape.rows));
    const { width, vocabularySize } = config;
    const weight = (key: string, spec: TensorSpec): Value =>
      shape.trainable ? recorder.state(key, f32(...spec.shape)) : recorder.parameter(key, spec);
    const matrix = (key: string, ...sizes: number[]): Value =>
      weight(key, { dtype: dtypes.get(key) ?? 'f32', shape: sizes });
    const norm = (x: Value, key: string): Value =>
      layerNorm(x, weight(`${key}.weight`, f32(width)), weight(`${key}.bias`, f32(width)), {
        epsilon: layerNormEpsilon,
      });

    const generation = generations[config.version]();
    const drawn = shape.trainable
      ? undefined
      : recorder.state('sampler.drawn', i32(shape.slots, shape.stepsPerReadback ?? 1), -1);
    const ids = drawn ? resolveTokens(tokens, drawn, offsets) : tokens;
    const embedded = gatherRows(matrix('emb.weight', vocabularySize, width), ids);
    let stream: Stream = {
      x: config.embeddingNormFolded ? embedded : norm(embedded, 'blocks.0.ln0'),
    };
    const { slots } = shape;
    const source = { recorder, weight, config, dtypes, slots, offsets, activations };
    for (let index = 0; index < config.layers; index++) {
      const layer = makeLayer(source, index);
      stream = generation.timeMix(stream, layer);
      stream = generation.channelMix(stream, layer);
    }
    const headMatrix = matrix('head.weight', vocabularySize, width);
    const last = norm(gatherRows(settle(stream), logitRows), 'ln_out');
    const logits = linear(asActivations(last, [headMatrix], activations), headMatrix);
    const targets = recorder.input('targets', i32(shape.rows));
    if (!drawn) {
      const { l2Wrap = 0 } = shape;
      return { logits, loss: crossEntropy(logits, targets, { l2Wrap }) };
    }
    draw(recorder, logits, drawn, config, shape);
    return { logits, logProbabilities: tokenLogProbability(logits, targets) };
  });
}

/** Draws a token for each row of logits that wants one, and keeps it with those drawn before. */
function draw(
  recorder: Recorder,
  logits: Value,
  drawn: Value,
  { vocabularySize }: ModelConfig,
  { rows, slots }: StepShape,
): void {
  const occurrences = recorder.state('sampler.occurrences', f32(slots, vocabularySize), -1);
  const sampleSlots = recorder.input('sampleSlots', i32(rows));
  const [tokens, next] = sample(
    logits,
    sampleSlots,
    recorder.input('settings', f32(slots, sampleSettings.length)),
    recorder.input('random', i32(slots, 2)),
    recorder.parameter('sampler.counts', f32(vocabularySize)),
    occurrences,
  );
  recorder.update(occurrences, next);
  recorder.update(drawn, keepDrawn(drawn, tokens, sampleSlots));
}
