import type { HostTensor, TensorSpec } from '@rwkv-js/tensor';
import type { Floats } from './floats.ts';
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

/**
 * Walks a step head by head and token by token. `visit` gets the head's matrix, which it updates, and
 * the first channel of this token and head in the rows.
 */
export function forEachHeadStep(
  state: HostTensor,
  y: HostTensor,
  offsets: HostTensor,
  visit: (matrix: Floats, channel: number, head: number) => void,
): void {
  const { heads, headSize, width } = headSizes(state);
  const size = headSize * headSize;
  const all = state.data as Floats;
  for (const { slot, start, end } of sequencesOf(offsets)) {
    for (let head = 0; head < heads; head++) {
      const matrix = all.subarray((slot * heads + head) * size, (slot * heads + head + 1) * size);
      for (let t = start; t < end; t++) visit(matrix, t * width + head * headSize, head);
    }
  }
  clearPadding(y, offsets);
}
