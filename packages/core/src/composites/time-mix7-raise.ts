import { defineOp, type Value } from '@rwkv-js/tensor';
import { add } from '../ops/add.ts';
import { exp } from '../ops/exp.ts';
import { lerp } from '../ops/lerp.ts';
import { linear } from '../ops/linear.ts';
import { scale } from '../ops/scale.ts';
import { expectFloats, matrix } from '../ops/shape-rules.ts';
import { sigmoid } from '../ops/sigmoid.ts';
import { slice } from '../ops/slice.ts';
import { tanh } from '../ops/tanh.ts';
import { transpose } from '../ops/transpose.ts';
import { lettersOf, partOf, totalRank, type TimeMix7Ranks } from './time-mix7-ranks.ts';

/**
 * The up halves of RWKV-7's low-rank maps with what they are for:
 *
 *     decay = exp(−e^(−½) · σ(w0 + tanh(low w) w2))      rate = σ(a0 + (low a) a2)
 *     value ← value + (first − value) · σ(v0 + (low v) v2)      gate = σ(low g) g2
 *
 * low: [tokens, sum of ranks]; up: the factors [rank, attention width] one after another in the order
 * w, a, v, g; biases: w0, a0, v0 [2 or 3, attention width]; value, firstValue: [tokens, attention
 * width], the latter layer 0's value of the same token, and not given in layer 0, which keeps its value.
 * Results: decay, rate, value, gate, each [tokens, attention width]. Specification: RWKV-7, time mix.
 */
export const timeMix7Raise = defineOp<
  (
    inputs: readonly [
      low: Value,
      up: Value,
      biases: Value,
      value: Value,
      firstValue?: Value | undefined,
    ],
    ranks: TimeMix7Ranks,
  ) => readonly [decay: Value, rate: Value, value: Value, gate: Value]
>({
  name: 'timeMix7Raise',
  arguments: ['low', 'up', 'biases', 'value', 'firstValue?'],
  infer([low, up, biases, value, firstValue], ranks, fail) {
    const [tokens, total] = matrix(low!, 'low', fail);
    const [, width] = matrix(up!, 'up', fail);
    if (total !== totalRank(ranks)) fail(`low must be [tokens, ${totalRank(ranks)}]`);
    expectFloats(up!, 'up', [total, width], '[sum of ranks, attention width]', fail);
    const count = ranks.v > 0 ? 3 : 2;
    expectFloats(biases!, 'biases', [count, width], '[biases, attention width]', fail);
    for (const [spec, name] of [
      [value!, 'value'],
      [firstValue, 'firstValue'],
    ] as const) {
      if (spec) expectFloats(spec, name, [tokens, width], '[tokens, attention width]', fail);
    }
    if ((firstValue !== undefined) !== ranks.v > 0) fail('a rank of v goes with a firstValue');
    const rows = { dtype: 'f32', shape: [tokens, width] } as const;
    return [rows, rows, rows, rows];
  },
  lower([low, up, biases, value, firstValue], ranks) {
    const raise = (
      letter: keyof TimeMix7Ranks,
      activation: (x: Value) => Value = (x) => x,
    ): Value => {
      const inner = activation(partOf(low!, ranks, letter, 1));
      const raised = linear(inner, transpose(partOf(up!, ranks, letter, 0)));
      if (letter === 'g') return raised;
      const at = lettersOf(ranks).indexOf(letter);
      return add(raised, slice(biases!, { axis: 0, start: at, end: at + 1 }));
    };
    const decay = exp(scale(sigmoid(raise('w', tanh)), { factor: -Math.exp(-0.5) }));
    const rate = sigmoid(raise('a'));
    const gate = raise('g', sigmoid);
    const mixedValue = firstValue ? lerp(value!, firstValue, sigmoid(raise('v'))) : value!;
    return [decay, rate, mixedValue, gate];
  },
});
