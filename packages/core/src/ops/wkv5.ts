import { defineOp, type Value } from '@rwkv-js/tensor';
import { floats, type Floats } from './floats.ts';
import { forEachHeadStep, headShapes, headSizes, type HeadStep } from './heads.ts';
import { carryState } from './sequences.ts';
import { expectFloats } from './shape-rules.ts';
import { stack, unstack } from './stack.ts';
import { wkv5Backward } from './wkv5-backward.ts';
import { zerosLike } from './zeros-like.ts';

/**
 * The recurrence of RWKV-5. Per head, with the matrix S [key, value] and · over the key channels:
 *
 *     y = r · (S + (bonus ⊙ k) vᵀ)        S ← decay ⊙ S + k vᵀ
 *
 * r, k, v: [tokens, width]; decay, bonus: [heads, headSize], decay in (0, 1); state: [slots, heads,
 * headSize, headSize]; offsets: i32 [slots + 1]. Results: y [tokens, width] and the state.
 * Specification: RWKV-5; Peng et al. 2024, arXiv 2404.05892.
 */
export const wkv5 = defineOp<
  (
    r: Value,
    k: Value,
    v: Value,
    decay: Value,
    bonus: Value,
    state: Value,
    offsets: Value,
  ) => readonly [y: Value, state: Value]
>({
  name: 'wkv5',
  arguments: ['r', 'k', 'v', 'decay', 'bonus', 'state', 'offsets'],
  infer([r, k, v, decay, bonus, state, offsets], _, fail) {
    const { heads, headSize } = headSizes(state!, fail);
    expectFloats(decay!, 'decay', [heads, headSize], '[heads, headSize]', fail);
    expectFloats(bonus!, 'bonus', [heads, headSize], '[heads, headSize]', fail);
    return headShapes({ r: r!, k: k!, v: v! }, state!, offsets!, fail);
  },
  reference({ inputs, outputs: [y, next] }) {
    const [decay, bonus] = [floats(inputs[3]!), floats(inputs[4]!)];
    const { headSize } = headSizes(inputs[5]!);
    carryState(inputs[5]!, next!);
    forEachHeadStep(inputs.slice(0, 3), next!, inputs[6]!, y!, (step) => {
      const [first, end] = [step.head * headSize, (step.head + 1) * headSize];
      stepHead(step, decay.subarray(first, end), bonus.subarray(first, end));
    });
  },
  gradient({ inputs, outputs: [y, next], cotangents: [toY, toState] }) {
    const [decay, bonus, state, offsets] = inputs.slice(3);
    const [rows, vectors, ofState] = wkv5Backward(
      stack([...inputs.slice(0, 3), toY ?? zerosLike(y!)]),
      stack([decay!, bonus!]),
      state!,
      offsets!,
      toState ?? zerosLike(next!),
    );
    return [...unstack(rows), ...unstack(vectors), ofState, undefined];
  },
  inPlace: [[1, 5]],
  operations: ([r, , , , , state]) => 6 * r!.shape[0]! * r!.shape[1]! * state!.shape[3]!,
});

/** One token of one head; RWKV-5 and RWKV-6 differ only in where the decay comes from. */
export function stepHead({ vectors, matrix, y }: HeadStep, decay: Floats, bonus: Floats): void {
  const [r, k, v] = vectors as [Float64Array, Float64Array, Float64Array];
  const n = y.length;
  // Rows of the matrix are key channels, which y sums over: the sums grow side by side.
  const sums = new Float64Array(n);
  for (let i = 0; i < n; i++) {
    const row = matrix.subarray(i * n, (i + 1) * n);
    for (let j = 0; j < n; j++) {
      const entering = k[i]! * v[j]!;
      sums[j]! += r[i]! * (row[j]! + bonus[i]! * entering);
      row[j] = decay[i]! * row[j]! + entering;
    }
  }
  y.set(sums);
}
