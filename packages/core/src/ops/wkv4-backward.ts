import { defineOp, elementCount, type HostTensor, type Value } from '@rwkv-js/tensor';
import type { Floats } from './floats.ts';
import { clearPadding, expectOffsets, sequencesOf } from './sequences.ts';
import { expectFloats } from './shape-rules.ts';
import { stackedTensors } from './stack.ts';

/**
 * The gradients of `wkv4`, with every running maximum held constant: the sums are multiples of
 * e^maximum, so what they stand for does not depend on it, and neither does a loss.
 *
 * rows: k, v and the cotangent of y [3, tokens, width]; vectors: logDecay and bonus [2, width]; states:
 * numerator, denominator and maximum [3, slots, width]; stateCotangents: of the new numerator and
 * denominator [2, slots, width]; all stacked so that a kernel has few buffers; offsets: i32 [slots + 1].
 * Results: the gradients of k and v [2, tokens, width], zero in padding rows, of logDecay and bonus [2,
 * width], summed over all tokens, and of the old numerator and denominator [2, slots, width].
 * Specification: RWKV-4, gradients.
 */
export const wkv4Backward = defineOp<
  (
    rows: Value,
    vectors: Value,
    states: Value,
    offsets: Value,
    stateCotangents: Value,
  ) => readonly [rows: Value, vectors: Value, states: Value]
>({
  name: 'wkv4Backward',
  arguments: ['rows', 'vectors', 'states', 'offsets', 'stateCotangents'],
  infer([rows, vectors, states, offsets, stateCotangents], _, fail) {
    const [, tokens = 0, width = 0] = rows!.shape;
    const [, slots = 0] = states!.shape;
    expectFloats(rows!, 'rows', [3, tokens, width], '[3, tokens, width]', fail);
    expectFloats(vectors!, 'vectors', [2, width], '[2, width]', fail);
    expectFloats(states!, 'states', [3, slots, width], '[3, slots, width]', fail);
    const ofStates = [2, slots, width];
    expectFloats(stateCotangents!, 'stateCotangents', ofStates, '[2, slots, width]', fail);
    expectOffsets(offsets!, slots, fail);
    return [
      { dtype: 'f32', shape: [2, tokens, width] },
      { dtype: 'f32', shape: [2, width] },
      { dtype: 'f32', shape: ofStates },
    ];
  },
  reference({ inputs: [rows, vectors, states, offsets, stateCotangents], outputs }) {
    const arrays = (stacked: HostTensor): Floats[] =>
      stackedTensors(stacked).map(({ data }) => data as Floats);
    const [k, v, cotangent] = arrays(rows!);
    const [logDecay, bonus] = arrays(vectors!);
    const [numerator, denominator, maximum] = arrays(states!);
    const [ofNumerator, ofDenominator] = arrays(stateCotangents!);
    const [dk, dv] = arrays(outputs[0]!);
    const [dNumerator, dDenominator] = arrays(outputs[2]!);
    const width = logDecay!.length;
    const sums = new Float64Array(2 * width);
    const [decaySums, bonusSums] = [sums.subarray(0, width), sums.subarray(width)];
    for (const { slot, start, end } of sequencesOf(offsets!)) {
      const before = [0, 1, 2].map(() => new Float64Array(end - start)) as unknown as Sums;
      for (let c = 0; c < width; c++) {
        const at = slot * width + c;
        const [decay, first] = [logDecay![c]!, bonus![c]!];
        let [a, b, top] = [numerator![at]!, denominator![at]!, maximum![at]!];
        for (let t = start; t < end; t++) {
          before[0][t - start] = a;
          before[1][t - start] = b;
          before[2][t - start] = top;
          const key = k![t * width + c]!;
          const next = Math.max(top + decay, key);
          const keep = Math.exp(top + decay - next);
          const enter = Math.exp(key - next);
          a = keep * a + enter * v![t * width + c]!;
          b = keep * b + enter;
          top = next;
        }
        // What flows back from numerator and denominator after the token.
        let fromA = ofNumerator![at]!;
        let fromB = ofDenominator![at]!;
        for (let t = end - 1; t >= start; t--) {
          const place = t * width + c;
          const key = k![place]!;
          const value = v![place]!;
          const [oldA, oldB, oldTop] = before.map((kept) => kept[t - start]!) as [
            number,
            number,
            number,
          ];

          const next = Math.max(oldTop + decay, key);
          const keep = Math.exp(oldTop + decay - next);
          const enter = Math.exp(key - next);
          const ofEnter = enter * (fromA * value + fromB);
          decaySums[c]! += keep * (fromA * oldA + fromB * oldB);

          const highest = Math.max(oldTop, first + key);
          const past = Math.exp(oldTop - highest);
          const current = Math.exp(first + key - highest);
          const total = past * oldB + current;
          const y = (past * oldA + current * value) / total;
          const flow = cotangent![place]! / total;
          const ofCurrent = flow * current * (value - y);
          bonusSums[c]! += ofCurrent;

          dk![place] = ofEnter + ofCurrent;
          dv![place] = enter * fromA + flow * current;
          fromA = keep * fromA + past * flow;
          fromB = keep * fromB - past * flow * y;
        }
        dNumerator![at] = fromA;
        dDenominator![at] = fromB;
      }
    }
    outputs[1]!.data.set(sums);
    for (const output of stackedTensors(outputs[0]!)) clearPadding(output, offsets!);
  },
  operations: ([rows]) => 20 * elementCount(rows!.shape),
});

type Sums = readonly [Float64Array, Float64Array, Float64Array];
