import { defineOp, elementCount, sameShape, type Value } from '@rwkv-js/tensor';
import type { Floats } from './floats.ts';
import { clearPadding, expectOffsets, sequencesOf } from './sequences.ts';
import { expectFloats, matrix } from './shape-rules.ts';

/**
 * The gradients of `wkv4`, with every running maximum held constant: the sums are multiples of
 * e^maximum, so what they stand for does not depend on it, and neither does a loss.
 *
 * Arguments are those of `wkv4`, then the cotangents of y [tokens, width] and of the new numerator and
 * denominator [slots, width]. Results: the gradients of k, v [tokens, width], zero in padding rows, of
 * logDecay and bonus [width], summed over all tokens, and of the old numerator and denominator.
 * Specification: RWKV-4, gradients.
 */
export const wkv4Backward = defineOp<
  (
    inputs: readonly Value[],
  ) => readonly [
    k: Value,
    v: Value,
    logDecay: Value,
    bonus: Value,
    numerator: Value,
    denominator: Value,
  ]
>({
  name: 'wkv4Backward',
  arguments: [
    'k',
    'v',
    'logDecay',
    'bonus',
    'numerator',
    'denominator',
    'maximum',
    'offsets',
    'cotangent',
    'numeratorCotangent',
    'denominatorCotangent',
  ],
  infer([k, v, logDecay, bonus, ...rest], _, fail) {
    const [tokens, width] = matrix(k!, 'k', fail);
    const [numerator, denominator, maximum, offsets, cotangent, ...ofStates] = rest;
    const [slots] = matrix(numerator!, 'numerator', fail);
    if (!sameShape(v!.shape, k!.shape) || !sameShape(cotangent!.shape, k!.shape)) {
      fail('k, v and cotangent must have the same shape');
    }
    for (const [i, spec] of [numerator, denominator, maximum, ...ofStates].entries()) {
      const name = ['numerator', 'denominator', 'maximum'][i % 3]!;
      expectFloats(spec!, name, [slots, width], '[slots, width]', fail);
    }
    expectFloats(logDecay!, 'logDecay', [width], '[width]', fail);
    expectFloats(bonus!, 'bonus', [width], '[width]', fail);
    expectOffsets(offsets!, slots, fail);
    const row = { dtype: 'f32', shape: [tokens, width] } as const;
    const vector = { dtype: 'f32', shape: [width] } as const;
    const state = { dtype: 'f32', shape: [slots, width] } as const;
    return [row, row, vector, vector, state, state];
  },
  reference({ inputs, outputs }) {
    const [k, v, logDecay, bonus, numerator, denominator, maximum] = inputs.map(
      ({ data }) => data as Floats,
    );
    const offsets = inputs[7]!;
    const [cotangent, ofNumerator, ofDenominator] = inputs.slice(8).map(({ data }) => data);
    const [dk, dv, dLogDecay, dBonus, dNumerator, dDenominator] = outputs.map(({ data }) => data);
    const width = logDecay!.length;
    const decaySums = new Float64Array(width);
    const bonusSums = new Float64Array(width);
    for (const { slot, start, end } of sequencesOf(offsets)) {
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
          const [oldA, oldB, oldTop] = before.map((sums) => sums[t - start]!) as [
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
    dLogDecay!.set(decaySums);
    dBonus!.set(bonusSums);
    clearPadding(outputs[0]!, offsets);
    clearPadding(outputs[1]!, offsets);
  },
  operations: ([k]) => 60 * elementCount(k!.shape),
});

type Sums = readonly [Float64Array, Float64Array, Float64Array];
