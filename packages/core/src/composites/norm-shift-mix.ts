import { defineOp, type TensorSpec, type Value } from '@rwkv-js/tensor';
import { add } from '../ops/add.ts';
import { concat } from '../ops/concat.ts';
import { layerNorm } from '../ops/layer-norm.ts';
import { lerp } from '../ops/lerp.ts';
import { quantize, quantizedRows } from '../ops/quantize.ts';
import { reshape } from '../ops/reshape.ts';
import { expectFloats, matrix, type Fail } from '../ops/shape-rules.ts';
import { expectOffsets } from '../ops/sequences.ts';
import { slice } from '../ops/slice.ts';
import { tokenShift } from '../ops/token-shift.ts';

/**
 * The beginning of a half of a layer: adds what the half before left, normalises, and mixes every
 * token with the one before it, once for each row of `mixes`.
 *
 * x: the residual stream [tokens, width]; weight, bias: of the layer norm [width]; mixes: [count,
 * width], 0 takes the token itself, 1 the one before; state: [slots, width]; offsets: i32 [slots + 1];
 * delta: what to add to x first [tokens, width], or nothing.
 * Results: the new residual stream, mixed [count, tokens, width], the state. With `quantized`, mixed is as
 * `quantize` makes it, in the same kernel.
 * Specification: frame of all generations, token shift of RWKV-6 and 7.
 */
export const normShiftMix = defineOp<
  (
    inputs: readonly [
      x: Value,
      weight: Value,
      bias: Value,
      mixes: Value,
      state: Value,
      offsets: Value,
      delta?: Value | undefined,
    ],
    attributes: { epsilon: number; quantized?: boolean },
  ) => readonly [x: Value, mixed: Value, state: Value]
>({
  name: 'normShiftMix',
  arguments: ['x', 'weight', 'bias', 'mixes', 'state', 'offsets', 'delta?'],
  infer(
    [x, weight, bias, mixes, state, offsets, delta],
    { quantized },
    fail: Fail,
  ): readonly TensorSpec[] {
    const [tokens, width] = matrix(x!, 'x', fail);
    expectFloats(weight!, 'weight', [width], '[width]', fail);
    expectFloats(bias!, 'bias', [width], '[width]', fail);
    if (delta) expectFloats(delta, 'delta', [tokens, width], '[tokens, width]', fail);
    const [count] = matrix(mixes!, 'mixes', fail);
    expectFloats(mixes!, 'mixes', [count, width], '[count, width]', fail);
    const [slots] = matrix(state!, 'state', fail);
    expectFloats(state!, 'state', [slots, width], '[slots, width]', fail);
    expectOffsets(offsets!, slots, fail);
    const rows = [count, tokens, width];
    return [
      { dtype: 'f32', shape: [tokens, width] },
      quantized ? quantizedRows(rows, fail) : { dtype: 'f32', shape: rows },
      state!,
    ];
  },
  lower([x, weight, bias, mixes, state, offsets, delta], { epsilon, quantized }): readonly Value[] {
    if (quantized) {
      const inputs = [x!, weight!, bias!, mixes!, state!, offsets!, delta] as const;
      const [sum, mixed, next] = normShiftMix(inputs, { epsilon });
      return [sum, quantize(mixed), next];
    }
    const [tokens, width] = x!.shape as [number, number];
    const sum = delta ? add(x!, delta) : x!;
    const normed = layerNorm(sum, weight!, bias!, { epsilon });
    const [shifted, next] = tokenShift(normed, state!, offsets!);
    const mixed = Array.from({ length: mixes!.shape[0]! }, (__, i) => {
      const mix = slice(mixes!, { axis: 0, start: i, end: i + 1 });
      return reshape(lerp(normed, shifted, mix), { shape: [1, tokens, width] });
    });
    return [sum, concat(mixed, { axis: 0 }), next];
  },
  inPlace: [
    [0, 0],
    [2, 4],
  ],
});
