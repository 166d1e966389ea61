import type { HostTensor, TensorSpec } from '@rwkv-js/tensor';
import { floats, type Floats } from './floats.ts';
import { clearPadding, expectOffsets, sequencesOf } from './sequences.ts';
import { expectFloats, type Fail } from './shape-rules.ts';

/** Sizes of a recurrence whose state is one matrix for each head. */
export interface HeadSizes {
  readonly slots: number;
  readonly heads: number;
  readonly headSize: number;
  readonly width: number;
}

/** Reads the sizes off a state f32 [slots, heads, headSize, headSize]. */
export function headSizes(state: TensorSpec, fail?: Fail): HeadSizes {
  const [slots = 0, heads = 0, headSize = 0, other] = state.shape;
  if (fail && (state.shape.length !== 4 || headSize !== other || state.dtype !== 'f32')) {
    fail('state must be f32 [slots, heads, headSize, headSize]');
  }
  return { slots, heads, headSize, width: heads * headSize };
}

/**
 * Shape rule of recurrences over heads: `rows` are [tokens, width] each, then come state and offsets.
 * The results are y [tokens, width] and the state.
 */
export function headShapes(
  rows: Readonly<Record<string, TensorSpec>>,
  state: TensorSpec,
  offsets: TensorSpec,
  fail: Fail,
): readonly TensorSpec[] {
  const { slots, width } = headSizes(state, fail);
  const tokens = Object.values(rows)[0]!.shape[0] ?? 0;
  for (const [name, spec] of Object.entries(rows)) {
    expectFloats(spec, name, [tokens, width], '[tokens, heads · headSize]', fail);
  }
  expectOffsets(offsets, slots, fail);
  return [
    { dtype: 'f32', shape: [tokens, width] },
    { dtype: 'f32', shape: state.shape },
  ];
}

/** One token of one head: its vectors, widened, where its result goes, and the head's matrix. */
export interface HeadStep {
  readonly head: number;
  /** The part of each of `rows` that belongs to this token and head, in their order. */
  readonly vectors: readonly Float64Array[];
  /** [headSize, headSize], read and updated. */
  readonly matrix: Floats;
  /** [headSize], to be written. */
  readonly y: Floats;
}

/**
 * Walks a step head by head and token by token. The vectors are widened once, since every element of
 * them meets every row or column of the matrix.
 */
export function forEachHeadStep(
  rows: readonly HostTensor[],
  state: HostTensor,
  offsets: HostTensor,
  y: HostTensor,
  visit: (step: HeadStep) => void,
): void {
  const { heads, headSize, width } = headSizes(state);
  const size = headSize * headSize;
  const sources = rows.map(floats);
  const vectors = rows.map(() => new Float64Array(headSize));
  for (const { slot, start, end } of sequencesOf(offsets)) {
    for (let head = 0; head < heads; head++) {
      const first = (slot * heads + head) * size;
      const matrix = (state.data as Floats).subarray(first, first + size);
      for (let t = start; t < end; t++) {
        const channel = t * width + head * headSize;
        sources.forEach((row, i) => vectors[i]!.set(row.subarray(channel, channel + headSize)));
        const result = (y.data as Floats).subarray(channel, channel + headSize);
        visit({ head, vectors, matrix, y: result });
      }
    }
  }
  clearPadding(y, offsets);
}
