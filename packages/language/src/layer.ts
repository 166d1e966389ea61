import { add, layerNorm, linear, quantize, tokenShift } from '@rwkv-js/core';
import {
  f32,
  isPacked,
  sameDType,
  type DType,
  type KernelTable,
  type Recorder,
  type TensorSpec,
  type Value,
} from '@rwkv-js/tensor';
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
  /** Product of rows [tokens, in] with a matrix of this layer [out, in]. */
  project(x: Value, name: string, out: number, input: number): Value;
  /**
   * Rows as a product with these weights takes them: quantised where all are packed along the rows
   * and the device multiplies integers.
   */
  activations(x: Value, weights: readonly Value[]): Value;
  /** Whether a product with these weights takes quantised rows: for what can give its result so at once. */
  takesQuantized(weights: readonly Value[]): boolean;
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

/** Rows as a product with these weights takes them; see {@link Layer.activations}. */
export function asActivations(
  x: Value,
  weights: readonly Value[],
  activations: KernelTable['activations'],
): Value {
  return takesQuantized(weights, activations) ? quantize(x) : x;
}

function takesQuantized(
  weights: readonly Value[],
  activations: KernelTable['activations'],
): boolean {
  const integers = weights.every(({ dtype }) => isPacked(dtype) && dtype.axis === -1);
  return activations === 'q8' && integers;
}

/** Dtype of each tensor of a file, by name. */
export type DTypes = ReadonlyMap<string, DType>;

/** What a layer is recorded from. */
export interface LayerSource {
  readonly recorder: Recorder;
  /** Declares a weight by its full name. */
  readonly weight: (name: string, spec: TensorSpec) => Value;
  readonly config: ModelConfig;
  readonly dtypes: DTypes;
  readonly slots: number;
  readonly offsets: Value;
  /** What products with packed weights take, as kernel tables say. */
  readonly activations: KernelTable['activations'];
}

/** What the layer at `index` has at hand, within a recording. */
export function makeLayer(source: LayerSource, index: number): Layer {
  const { recorder, weight: declare, config, dtypes, slots, offsets, activations } = source;
  const full = (name: string): string => `blocks.${index}.${name}`;
  const layer: Layer = {
    index,
    config,
    offsets,
    vector: (name, ...shape) => declare(full(name), f32(...shape)),
    matrix: (name, ...shape) =>
      declare(full(name), { dtype: dtypes.get(full(name)) ?? 'f32', shape }),
    matrices(shapes) {
      const names = Object.keys(shapes);
      const kinds = names.map((name) => dtypes.get(full(name)) ?? 'f32');
      const dtype = kinds.every((kind) => sameDType(kind, kinds[0]!)) ? kinds[0]! : 'f32';
      return names.map((name) => declare(full(name), { dtype, shape: shapes[name]! }));
    },
    project(x, name, out, input) {
      const weight = layer.matrix(name, out, input);
      return linear(layer.activations(x, [weight]), weight);
    },
    activations: (x, weights) => asActivations(x, weights, activations),
    takesQuantized: (weights) => takesQuantized(weights, activations),
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
