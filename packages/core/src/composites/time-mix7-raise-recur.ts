import { defineOp, type TensorSpec, type Value } from '@rwkv-js/tensor';
import { headShapes, headSizes } from '../ops/heads.ts';
import { quantizedRows } from '../ops/quantize.ts';
import { expectFloats, matrix } from '../ops/shape-rules.ts';
import { slice } from '../ops/slice.ts';
import { timeMix7Raise } from './time-mix7-raise.ts';
import { totalRank, type TimeMix7Ranks } from './time-mix7-ranks.ts';
import { timeMix7Recur } from './time-mix7-recur.ts';

/**
 * `timeMix7Raise` and `timeMix7Recur` one after the other: for one token of one sequence a device can do both at
 * once, head by head.
 *
 * low: [tokens, sum of ranks]; up: [sum of ranks, attention width]; vectors: the biases w0, a0 and, where v has a
 * rank, v0, then k_k, k_a, r_k and the group norm's weight and bias [7 or 8, attention width]; r, k, value,
 * firstValue: [tokens, attention width], the last not in layer 0; state: [slots, heads, headSize, headSize]; offsets:
 * i32 [slots + 1]. Results: [tokens, attention width] and the state. Specification: RWKV-7, time mix.
 */
export const timeMix7RaiseRecur = defineOp<
  (
    inputs: readonly [
      low: Value,
      up: Value,
      vectors: Value,
      r: Value,
      k: Value,
      value: Value,
      state: Value,
      offsets: Value,
      firstValue?: Value | undefined,
    ],
    attributes: TimeMix7Ranks & { epsilon: number; quantized?: boolean },
  ) => readonly [y: Value, state: Value]
>({
  name: 'timeMix7RaiseRecur',
  arguments: ['low', 'up', 'vectors', 'r', 'k', 'value', 'state', 'offsets', 'firstValue?'],
  infer([low, up, vectors, r, k, value, state, offsets, firstValue], attributes, fail) {
    const { width } = headSizes(state!, fail);
    const total = totalRank(attributes);
    const [tokens] = matrix(low!, 'low', fail);
    expectFloats(low!, 'low', [tokens, total], '[tokens, sum of ranks]', fail);
    expectFloats(up!, 'up', [total, width], '[sum of ranks, heads · headSize]', fail);
    const count = biasCount(attributes) + 5;
    expectFloats(vectors!, 'vectors', [count, width], '[vectors, heads · headSize]', fail);
    if ((firstValue !== undefined) !== attributes.v > 0) fail('a rank of v goes with a firstValue');
    const rows: Record<string, TensorSpec> = { r: r!, k: k!, value: value! };
    if (firstValue) rows['firstValue'] = firstValue;
    const [y, next] = headShapes(rows, state!, offsets!, fail);
    if (y!.shape[0] !== tokens) fail('low, r, k and value must have the same number of rows');
    return [attributes.quantized ? quantizedRows(y!.shape, fail) : y!, next!];
  },
  lower(
    [low, up, vectors, r, k, value, state, offsets, firstValue],
    { w, a, v, g, epsilon, quantized },
  ): readonly Value[] {
    const ranks = { w, a, v, g };
    const count = biasCount(ranks);
    const part = (start: number, end: number): Value => slice(vectors!, { axis: 0, start, end });
    const [decay, rate, mixed, gate] = timeMix7Raise(
      [low!, up!, part(0, count), value!, firstValue],
      ranks,
    );
    return timeMix7Recur(
      r!,
      decay,
      k!,
      mixed,
      rate,
      gate,
      part(count, count + 5),
      state!,
      offsets!,
      { epsilon, ...(quantized && { quantized }) },
    );
  },
  inPlace: [[1, 6]],
});

function biasCount({ v }: TimeMix7Ranks): number {
  return v > 0 ? 3 : 2;
}
