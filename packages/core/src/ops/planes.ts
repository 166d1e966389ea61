import {
  isPacked,
  packedPlanes,
  type DType,
  type HostArray,
  type HostTensor,
} from '@rwkv-js/tensor';

/** Elements of a tensor that are moved as they are, and their sizes in the order they lie in. */
export interface Plane {
  readonly data: HostArray;
  readonly shape: readonly number[];
}

/** What moving a tensor's elements moves: the elements, or the quants and the scales of a packed one. */
export function planesOf({ dtype, shape, data }: HostTensor): readonly Plane[] {
  if (!isPacked(dtype)) return [{ data, shape }];
  return packedPlanes({ dtype, shape }, data as Uint8Array);
}

/** Where an axis of a tensor is among the axes of its planes: blocks along columns lie transposed. */
export function planeAxis(dtype: DType, axis: number, rank: number): number {
  if (!isPacked(dtype) || dtype.axis === -1 || axis < rank - 2) return axis;
  return axis === rank - 1 ? rank - 2 : rank - 1;
}

/** True when a packed tensor can be cut at this place along an axis: between blocks. */
export function betweenBlocks(dtype: DType, axis: number, rank: number, place: number): boolean {
  return !isPacked(dtype) || axis !== rank + dtype.axis || place % dtype.block === 0;
}
