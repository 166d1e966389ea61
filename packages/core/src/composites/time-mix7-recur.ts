import { defineOp, type Value } from '@rwkv-js/tensor';
import { add } from '../ops/add.ts';
import { groupNorm } from '../ops/group-norm.ts';
import { headShapes, headSizes } from '../ops/heads.ts';
import { l2Normalize } from '../ops/l2-normalize.ts';
import { lerp } from '../ops/lerp.ts';
import { multiply } from '../ops/multiply.ts';
import { negate } from '../ops/negate.ts';
import { quantize, quantizedRows } from '../ops/quantize.ts';
import { reshape } from '../ops/reshape.ts';
import { expectFloats } from '../ops/shape-rules.ts';
import { slice } from '../ops/slice.ts';
import { sum } from '../ops/sum.ts';
import { wkv7 } from '../ops/wkv7.ts';

/**
 * The recurrence of RWKV-7 with what surrounds it: key normalisation, state update, head
 * normalisation, bonus, gate.
 *
 *     κ = k ⊙ k_k, normalised by head       k ← k ⊙ (1 + (rate − 1) ⊙ k_a)
 *     y = groupNorm(wkv7(r, decay, k, v, −κ, κ ⊙ rate)) + (Σ r ⊙ k ⊙ r_k by head) v       result = y ⊙ gate
 *
 * r, decay, k, v, rate, gate: [tokens, attention width]; vectors: k_k, k_a, r_k and the group norm's
 * weight and bias [5, attention width]; state: [slots, heads, headSize, headSize]; offsets: i32
 * [slots + 1]. Results: [tokens, attention width] and the state. With `quantized`, the first is as `quantize` makes
 * it, in the same kernel. Specification: RWKV-7, time mix.
 */
export const timeMix7Recur = defineOp<
  (
    r: Value,
    decay: Value,
    k: Value,
    v: Value,
    rate: Value,
    gate: Value,
    vectors: Value,
    state: Value,
    offsets: Value,
    attributes: { epsilon: number; quantized?: boolean },
  ) => readonly [y: Value, state: Value]
>({
  name: 'timeMix7Recur',
  arguments: ['r', 'decay', 'k', 'v', 'rate', 'gate', 'vectors', 'state', 'offsets'],
  infer([r, decay, k, v, rate, gate, vectors, state, offsets], { quantized }, fail) {
    const { width } = headSizes(state!, fail);
    expectFloats(vectors!, 'vectors', [5, width], '[5, heads · headSize]', fail);
    const rows = { r: r!, decay: decay!, k: k!, v: v!, rate: rate!, gate: gate! };
    const [y, next] = headShapes(rows, state!, offsets!, fail);
    return [quantized ? quantizedRows(y!.shape, fail) : y!, next!];
  },
  lower(
    [r, decay, k, v, rate, gate, vectors, state, offsets],
    { epsilon, quantized },
  ): readonly Value[] {
    if (quantized) {
      const [y, next] = timeMix7Recur(
        r!,
        decay!,
        k!,
        v!,
        rate!,
        gate!,
        vectors!,
        state!,
        offsets!,
        { epsilon },
      );
      return [quantize(y), next];
    }
    const { heads, headSize, width } = headSizes(state!);
    const tokens = r!.shape[0]!;
    const byHead = (rows: Value): Value => reshape(rows, { shape: [tokens, heads, headSize] });
    const byRow = (parts: Value): Value => reshape(parts, { shape: [tokens, width] });
    const [keyScale, keyRate, bonusScale, normWeight, normBias] = [0, 1, 2, 3, 4].map((at) =>
      reshape(slice(vectors!, { axis: 0, start: at, end: at + 1 }), { shape: [width] }),
    );

    // κ comes from the key before k_a scales it; state and bonus take the key after.
    const kappa = byRow(l2Normalize(byHead(multiply(k!, keyScale!))));
    const key = lerp(k!, multiply(k!, rate!), keyRate!);
    const [read, next] = wkv7(
      r!,
      decay!,
      key,
      v!,
      negate(kappa),
      multiply(kappa, rate!),
      state!,
      offsets!,
    );
    const normed = groupNorm(read, normWeight!, normBias!, { groups: heads, epsilon });
    const agreement = sum(byHead(multiply(multiply(r!, key), bonusScale!)));
    const bonus = byRow(multiply(agreement, byHead(v!)));
    return [multiply(add(normed, bonus), gate!), next];
  },
  inPlace: [[1, 7]],
});
