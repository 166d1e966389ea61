import type { HostTensor, TensorSpec } from '@rwkv-js/tensor';
import { expectIndexes, type Fail } from './shape-rules.ts';

/** The tokens of one sequence within the packed rows of a step. */
export interface PackedSequence {
  readonly slot: number;
  /** First row, and the row after the last. */
  readonly start: number;
  readonly end: number;
}

/**
 * Sequences lie in a step one after another; `offsets` i32[slots + 1] says where each begins, the
 * first at 0. A sequence of slot s has the rows offsets[s] to offsets[s + 1]; it may have none. Rows
 * after the last offset are padding.
 */
export function sequencesOf(offsets: HostTensor): readonly PackedSequence[] {
  const { data } = offsets;
  return Array.from({ length: data.length - 1 }, (_, slot) => ({
    slot,
    start: data[slot]!,
    end: data[slot + 1]!,
  }));
}

/** Zeroes the padding rows of an output [tokens, width], which belong to no sequence. */
export function clearPadding(output: HostTensor, offsets: HostTensor): void {
  const width = output.shape[1]!;
  output.data.fill(0, offsets.data.at(-1)! * width);
}

/** Checks `offsets` against the slots of a state. */
export function expectOffsets(offsets: TensorSpec, slots: number, fail: Fail): void {
  expectIndexes(offsets, 'offsets', slots + 1, fail);
}

/**
 * Brings a state's old elements to where the new ones are computed. Nothing to do when the state is
 * updated in place.
 */
export function carryState(from: HostTensor, to: HostTensor): void {
  const inPlace =
    from.data.buffer === to.data.buffer && from.data.byteOffset === to.data.byteOffset;
  if (!inPlace) to.data.set(from.data);
}
