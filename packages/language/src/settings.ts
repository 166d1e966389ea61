import { UsageError } from '@rwkv-js/tensor';
import type { SampleSettings } from '@rwkv-js/core';

/** How the next token is chosen. The defaults are those of the official sampler. */
export interface SamplingOptions {
  /** 0 takes the likeliest token; above 1 flattens the choice. Applied after topP. Default 1. */
  readonly temperature?: number | undefined;
  /** Share of the probability that the likeliest tokens to choose from make up, 0 to 1. Default 0.85. */
  readonly topP?: number | undefined;
  /** How many of the likeliest tokens to choose from; 0 sets no limit. Default 0. */
  readonly topK?: number | undefined;
  /** Taken once from the logit of every token that was written. Default 0.2. */
  readonly presencePenalty?: number | undefined;
  /** Taken from the logit of a token for each time it was written. Default 0.2. */
  readonly frequencyPenalty?: number | undefined;
  /** What the times a token was written are multiplied by at each step, 0 to 1. Default 0.996. */
  readonly penaltyDecay?: number | undefined;
}

const defaults: SampleSettings = {
  temperature: 1,
  topP: 0.85,
  topK: 0,
  presencePenalty: 0.2,
  frequencyPenalty: 0.2,
  penaltyDecay: 0.996,
};

const ranges: Readonly<Record<keyof SampleSettings, readonly [number, number]>> = {
  temperature: [0, 100],
  topP: [0, 1],
  topK: [0, 2 ** 24],
  presencePenalty: [-100, 100],
  frequencyPenalty: [-100, 100],
  penaltyDecay: [0, 1],
};

/**
 * The options over the model's own recommendations over the official defaults.
 *
 * @throws UsageError for a number outside its range.
 */
export function resolveSettings(
  options: SamplingOptions,
  recommended: SamplingOptions = {},
): SampleSettings {
  const settings: Record<string, number> = {};
  for (const name of Object.keys(defaults) as (keyof SampleSettings)[]) {
    const value = options[name] ?? recommended[name] ?? defaults[name];
    const [least, most] = ranges[name];
    if (
      typeof value !== 'number' ||
      !(value >= least && value <= most) ||
      (name === 'topK' && !Number.isInteger(value))
    ) {
      throw new UsageError(
        `${name} is ${String(value)}; it must be ${name === 'topK' ? 'a whole number ' : ''}` +
          `from ${least} to ${most}`,
      );
    }
    // Devices take f32: a draw on the host must not differ from one there.
    settings[name] = Math.fround(value);
  }
  return settings as SampleSettings;
}
