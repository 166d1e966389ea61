import { elementCount } from '@rwkv-js/tensor';
import { orthogonal } from './orthogonal.ts';
import type { RandomNumbers } from './random.ts';

/** A tensor that is given its initial values. */
export interface InitialTensor {
  readonly shape: readonly number[];
  /** ℓ, the layer it belongs to. */
  readonly layer: number;
  /** L */
  readonly layers: number;
  /** ρ01 = ℓ / (L − 1): 0 in the first layer, 1 in the last. */
  readonly rising: number;
  /** ρ10 = 1 − ℓ / L: 1 in the first layer. */
  readonly falling: number;
  /** N, channels of a head; 0 where the version has none. */
  readonly headSize: number;
  /** The learning rate that training begins with. */
  readonly rate: number;
  readonly random: RandomNumbers;
}

/** How the tensors whose names match are initialised. */
export type InitialRule = readonly [names: RegExp, values: (tensor: InitialTensor) => Float32Array];

/** A channel of a vector. */
export interface Channel {
  /** i, from 0. */
  readonly index: number;
  /** δ = i / C: 0 in the first channel, below 1 in the last. */
  readonly share: number;
  /** i / (C − 1): 0 in the first channel, 1 in the last. */
  readonly place: number;
}

/** Values by a formula of the channel. */
export function channels(
  formula: (channel: Channel, tensor: InitialTensor) => number,
): InitialRule[1] {
  return (tensor) => {
    const count = elementCount(tensor.shape);
    return Float32Array.from({ length: count }, (_, index) =>
      formula({ index, share: index / count, place: index / Math.max(1, count - 1) }, tensor),
    );
  };
}

/** The same value everywhere. */
export function constant(value: number): InitialRule[1] {
  return channels(() => value);
}

/** Uniform in [−range, range). */
export function uniform(range: (tensor: InitialTensor) => number): InitialRule[1] {
  return (tensor) =>
    Float32Array.from({ length: elementCount(tensor.shape) }, (_, at) =>
      tensor.random.uniform(at, range(tensor)),
    );
}

/** An orthogonal matrix times a gain, which may depend on how many rows there are for each column. */
export function orthogonalTimes(gain: (rowsPerColumn: number) => number): InitialRule[1] {
  return ({ shape, random }) => {
    const [rows, columns] = shape as [number, number];
    return orthogonal(rows, columns, gain(rows / columns), random);
  };
}

/** What a gain is multiplied by so that a matrix with more rows than columns keeps the size of its input. */
export function tall(rowsPerColumn: number): number {
  return Math.sqrt(Math.max(1, rowsPerColumn));
}
