import { add, layerNorm, tokenShift } from '@rwkv-js/core';
import { f32, type PlainDType, type Recorder, type TensorSpec, type Value } from '@rwkv-js/tensor';
import { layerNormEpsilon, type ModelConfig } from './config.ts';

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
  /** Matrices that are to be joined: in the file's dtype where it is the same for all, else in f32. */
  matrices(shapes: Readonly<Record<string, readonly number[]>>): readonly Value[];
  /** Whether the file has this parameter. */
  has(name: string): boolean;
  /** A state of this layer, one for each slot: [slots, …shape]. */
  state(name: string, shape: readonly number[], fill?: number): Value;
  update(state: Value, next: Value): void;
  /** The rows of the tokens before; the last row is kept in the state of that name. */
  shift(x: Value, state: string): Value;
}

/** The residual stream between two halves of layers, and what the last one left to be added to it. */
export interface Stream {
  /** [tokens, width] */
  readonly x: Value;
  /** [tokens, width]; the next half adds it, so that it can do so in the same kernel. */
  readonly delta?: Value;
}

/** The two halves of a layer. */
export interface LayerHalves {
  timeMix(stream: Stream, layer: Layer): Stream;
  channelMix(stream: Stream, layer: Layer): Stream;
}

/** The halves of a layer from functions of its layer norms' outputs, each giving what is to be added. */
export function halves(
  timeMix: (x: Value, layer: Layer) => Value,
  channelMix: (x: Value, layer: Layer) => Value,
): LayerHalves {
  const onNormed =
    (norm: string, half: (x: Value, layer: Layer) => Value) =>
    (stream: Stream, layer: Layer): Stream => {
      const x = settle(stream);
      const { width } = layer.config;
      const [weight, bias] = [
        layer.vector(`${norm}.weight`, width),
        layer.vector(`${norm}.bias`, width),
      ];
      return { x, delta: half(layerNorm(x, weight, bias, { epsilon: layerNormEpsilon }), layer) };
    };
  return { timeMix: onNormed('ln1', timeMix), channelMix: onNormed('ln2', channelMix) };
}

/** The residual stream with everything added. */
export function settle({ x, delta }: Stream): Value {
  return delta ? add(x, delta) : x;
}

/** Dtype of each tensor of a file, by name. */
export type DTypes = ReadonlyMap<string, PlainDType>;

/**
 * What the layer at `index` has at hand, within a recording.
 *
 * @param weight declares a weight by its full name
 */
export function makeLayer(
  recorder: Recorder,
  weight: (name: string, spec: TensorSpec) => Value,
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
    vector: (name, ...shape) => weight(full(name), f32(...shape)),
    matrix: (name, ...shape) =>
      weight(full(name), { dtype: dtypes.get(full(name)) ?? 'f32', shape }),
    matrices(shapes) {
      const names = Object.keys(shapes);
      const kinds = new Set(names.map((name) => dtypes.get(full(name)) ?? 'f32'));
      const dtype = kinds.size === 1 ? [...kinds][0]! : 'f32';
      return names.map((name) => weight(full(name), { dtype, shape: shapes[name]! }));
    },
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
