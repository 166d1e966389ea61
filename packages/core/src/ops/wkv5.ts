import { defineOp, type Value } from '@rwkv-js/tensor';
import { floats, type Floats } from './floats.ts';
import { forEachHeadStep, headShapes, headSizes } from './heads.ts';
import { carryState } from './sequences.ts';
import { expectFloats } from './shape-rules.ts';

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
    const [r, k, v, decay, bonus] = inputs.slice(0, 5).map(floats);
    const { headSize } = headSizes(inputs[5]!);
    carryState(inputs[5]!, next!);
    forEachHeadStep(next!, y!, inputs[6]!, (matrix, channel, head) => {
      stepHead(
        matrix,
        r!.subarray(channel, channel + headSize),
        k!.subarray(channel, channel + headSize),
        v!.subarray(channel, channel + headSize),
        decay!.subarray(head * headSize, (head + 1) * headSize),
        bonus!.subarray(head * headSize, (head + 1) * headSize),
        y!.data.subarray(channel, channel + headSize) as Floats,
      );
    });
  },
  inPlace: [[1, 5]],
  operations: ([r, , , , , state]) => 6 * r!.shape[0]! * r!.shape[1]! * state!.shape[3]!,
});

/** One token of one head; RWKV-5 and RWKV-6 differ only in where the decay comes from. */
export function stepHead(
  matrix: Floats,
  r: Floats,
  k: Floats,
  v: Floats,
  decay: Floats,
  bonus: Floats,
  y: Floats,
): void {
  const n = r.length;
  // The sum over key channels runs in the outer loop; doubles keep it as exact as a single sum.
  const sums = new Float64Array(n);
  for (let i = 0; i < n; i++) {
    for (let j = 0; j < n; j++) {
      const entering = k[i]! * v[j]!;
      const old = matrix[i * n + j]!;
      sums[j]! += r[i]! * (old + bonus[i]! * entering);
      matrix[i * n + j] = decay[i]! * old + entering;
    }
  }
  y.set(sums);
}
