import { defineOp, elementCount, type Value } from '@rwkv-js/tensor';
import { floats } from './floats.ts';
import { carryState, clearPadding, expectOffsets, sequencesOf } from './sequences.ts';
import { expectFloats, expectState, floatMatrix, matrix } from './shape-rules.ts';
import { stack, unstack } from './stack.ts';
import { wkv4Backward } from './wkv4-backward.ts';
import { zerosLike } from './zeros-like.ts';

/**
 * The recurrence of RWKV-4: per channel, an average of all values so far, weighted by e^key and by a
 * decay per step, the current one by e^(bonus + key).
 *
 * k, v: [tokens, width]; logDecay: [width], below 0; bonus: [width]; numerator, denominator, maximum:
 * states f32 [slots, width]; offsets: i32 [slots + 1]. The sums are kept as multiples of e^maximum, so
 * that no exponent is above 0; before the first token the maximum is −1e30 and the sums are 0.
 *
 * Results: y [tokens, width], zero in padding rows, and the three states. Specification: RWKV-4.
 */
export const wkv4 = defineOp<
  (
    k: Value,
    v: Value,
    logDecay: Value,
    bonus: Value,
    numerator: Value,
    denominator: Value,
    maximum: Value,
    offsets: Value,
  ) => readonly [y: Value, numerator: Value, denominator: Value, maximum: Value]
>({
  name: 'wkv4',
  arguments: ['k', 'v', 'logDecay', 'bonus', 'numerator', 'denominator', 'maximum', 'offsets'],
  infer([k, v, logDecay, bonus, ...rest], _, fail) {
    const [tokens, width] = floatMatrix(k!, 'k', fail);
    expectFloats(v!, 'v', [tokens, width], '[tokens, width]', fail);
    expectFloats(logDecay!, 'logDecay', [width], '[width]', fail);
    expectFloats(bonus!, 'bonus', [width], '[width]', fail);
    const [slots] = matrix(rest[0]!, 'numerator', fail);
    for (const [i, name] of ['numerator', 'denominator', 'maximum'].entries()) {
      expectState(rest[i]!, name, [slots, width], '[slots, width]', fail);
    }
    expectOffsets(rest[3]!, slots, fail);
    const state = { dtype: 'f32', shape: [slots, width] } as const;
    return [{ dtype: 'f32', shape: [tokens, width] }, state, state, state];
  },
  reference({ inputs, outputs }) {
    const [k, v, logDecay, bonus] = inputs.slice(0, 4).map(floats);
    const offsets = inputs[7]!;
    const y = outputs[0]!.data;
    const width = logDecay!.length;
    for (const i of [1, 2, 3]) carryState(inputs[3 + i]!, outputs[i]!);
    const [numerator, denominator, maximum] = outputs.slice(1).map((output) => output.data);
    for (const { slot, start, end } of sequencesOf(offsets)) {
      for (let t = start; t < end; t++) {
        for (let c = 0; c < width; c++) {
          const at = slot * width + c;
          const key = k![t * width + c]!;
          const value = v![t * width + c]!;

          const outputMaximum = Math.max(maximum![at]!, bonus![c]! + key);
          const past = Math.exp(maximum![at]! - outputMaximum);
          const current = Math.exp(bonus![c]! + key - outputMaximum);
          y[t * width + c] =
            (past * numerator![at]! + current * value) / (past * denominator![at]! + current);

          const decayed = maximum![at]! + logDecay![c]!;
          const nextMaximum = Math.max(decayed, key);
          const keep = Math.exp(decayed - nextMaximum);
          const enter = Math.exp(key - nextMaximum);
          numerator![at] = keep * numerator![at]! + enter * value;
          denominator![at] = keep * denominator![at]! + enter;
          maximum![at] = nextMaximum;
        }
      }
    }
    clearPadding(outputs[0]!, offsets);
  },
  gradient({ inputs, outputs: [y, numerator, denominator], cotangents }) {
    const [k, v, logDecay, bonus, ...states] = inputs.slice(0, 7);
    const [toY, toNumerator, toDenominator] = cotangents;
    const [rows, vectors, ofStates] = wkv4Backward(
      stack([k!, v!, toY ?? zerosLike(y!)]),
      stack([logDecay!, bonus!]),
      stack(states),
      inputs[7]!,
      stack([toNumerator ?? zerosLike(numerator!), toDenominator ?? zerosLike(denominator!)]),
    );
    // The maximum is held constant.
    return [...unstack(rows), ...unstack(vectors), ...unstack(ofStates), undefined, undefined];
  },
  inPlace: [
    [1, 4],
    [2, 5],
    [3, 6],
  ],
  operations: ([k]) => 20 * elementCount(k!.shape),
});
