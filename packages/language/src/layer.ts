import { tokenShift } from '@rwkv-js/core';
import { f32, type PlainDType, type Recorder, type Value } from '@rwkv-js/tensor';
import type { ModelConfig } from './config.ts';

/** What one layer's file has at hand while its program is recorded. */
export interface Layer {
  readonly index: number;
  readonly config: ModelConfig;
  /** Where each sequence begins in the packed rows: i32 [slots + 1]. */
  readonly offsets: Value;
  /** A small parameter of this layer, f32, whatever the file keeps it in: `att.x_r`. */
  vector(name: string, ...shape: number[]): Value;
  /** A matrix of this layer, in the dtype the file has it in. */
  matrix(name: string, ...shape: number[]): Value;
  /** Whether the file has this parameter. */
  has(name: string): boolean;
  /** A state of this layer, one for each slot: [slots, …shape]. */
  state(name: string, shape: readonly number[], fill?: number): Value;
  update(state: Value, next: Value): void;
  /** The rows of the tokens before; the last row is kept in the state of that name. */
  shift(x: Value, state: string): Value;
}

/** The two halves of a layer. x: the layer norm's output [tokens, width] → [tokens, width]. */
export interface Generation {
  timeMix(x: Value, layer: Layer): Value;
  channelMix(x: Value, layer: Layer): Value;
}

/** Dtype of each tensor of a file, by name. */
export type DTypes = ReadonlyMap<string, PlainDType>;

/** What the layer at `index` has at hand, within a recording. */
export function makeLayer(
  recorder: Recorder,
  config: ModelConfig,
  dtypes: DTypes,
  slots: number,
  offsets: Value,
  index: number,
): Layer {
  const full = (name: string): string => `blocks.${index}.${name}`;
  const layer: Layer = {
    index,
    config,
    offsets,
    vector: (name, ...shape) => recorder.parameter(full(name), f32(...shape)),
    matrix: (name, ...shape) =>
      recorder.parameter(full(name), { dtype: dtypes.get(full(name)) ?? 'f32', shape }),
    has: (name) => dtypes.has(full(name)),
    state: (name, shape, fill) =>
      recorder.state(`state.${index}.${name}`, f32(slots, ...shape), fill),
    update: (state, next) => recorder.update(state, next),
    shift(x, name) {
      const state = layer.state(name, [config.width]);
      const [shifted, next] = tokenShift(x, state, offsets);
      layer.update(state, next);
      return shifted;
    },
  };
  return layer;
}
