import { defineOp, type Value } from '@rwkv-js/tensor';
import { forEachHeadStep, headShapes, type HeadStep } from './heads.ts';
import { carryState } from './sequences.ts';
import { stack, unstack } from './stack.ts';
import { wkv7Backward } from './wkv7-backward.ts';
import { zerosLike } from './zeros-like.ts';

/**
 * The recurrence of RWKV-7, a delta rule. Per head, with the matrix S [value, key]:
 *
 *     S ← S diag(decay) + (S a) bᵀ + v kᵀ        y = S r, with the new S
 *
 * r, decay, k, v, a, b: [tokens, width], decay in (0, 1); the model gives a = −κ and b = κ ⊙ α, with κ
 * the normalised key and α the in-context learning rate. state: [slots, heads, headSize, headSize];
 * offsets: i32 [slots + 1]. Results: y [tokens, width], zero in padding rows, and the state.
 * Specification: RWKV-7; Peng et al. 2025, arXiv 2503.14456.
 */
export const wkv7 = defineOp<
  (
    r: Value,
    decay: Value,
    k: Value,
    v: Value,
    a: Value,
    b: Value,
    state: Value,
    offsets: Value,
  ) => readonly [y: Value, state: Value]
>({
  name: 'wkv7',
  arguments: ['r', 'decay', 'k', 'v', 'a', 'b', 'state', 'offsets'],
  infer([r, decay, k, v, a, b, state, offsets], _, fail) {
    const rows = { r: r!, decay: decay!, k: k!, v: v!, a: a!, b: b! };
    return headShapes(rows, state!, offsets!, fail);
  },
  reference({ inputs, outputs: [y, next] }) {
    carryState(inputs[6]!, next!);
    forEachHeadStep(inputs.slice(0, 6), next!, inputs[7]!, y!, stepHead);
  },
  gradient({ inputs, outputs: [y, next], cotangents: [toY, toState] }) {
    const [state, offsets] = inputs.slice(6);
    const [rows, ofState] = wkv7Backward(
      stack([...inputs.slice(0, 6), toY ?? zerosLike(y!)]),
      state!,
      offsets!,
      toState ?? zerosLike(next!),
    );
    return [...unstack(rows), ofState, undefined];
  },
  inPlace: [[1, 6]],
  operations: ([r, , , , , , state]) => 9 * r!.shape[0]! * r!.shape[1]! * state!.shape[3]!,
});

function stepHead({ vectors, matrix, y }: HeadStep): void {
  const [r, decay, k, v, a, b] = vectors as [
    Float64Array,
    Float64Array,
    Float64Array,
    Float64Array,
    Float64Array,
    Float64Array,
  ];
  const n = y.length;
  // Row i of the matrix belongs to value channel i: all it needs is itself and the vectors.
  for (let i = 0; i < n; i++) {
    const row = matrix.subarray(i * n, (i + 1) * n);
    const value = v[i]!;
    let read = 0;
    for (let j = 0; j < n; j++) read += row[j]! * a[j]!;
    let sum = 0;
    for (let j = 0; j < n; j++) {
      const entry = row[j]! * decay[j]! + read * b[j]! + value * k[j]!;
      row[j] = entry;
      sum += entry * r[j]!;
    }
    y[i] = sum;
  }
}
