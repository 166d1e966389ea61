import { defineOp, type Value } from '@rwkv-js/tensor';
import { floats } from './floats.ts';
import { forEachHeadStep, headShapes, headSizes } from './heads.ts';
import { carryState } from './sequences.ts';
import { expectFloats } from './shape-rules.ts';
import { stepHead } from './wkv5.ts';
import { stack, unstack } from './stack.ts';
import { wkv6Backward } from './wkv6-backward.ts';
import { zerosLike } from './zeros-like.ts';

/**
 * The recurrence of RWKV-6: that of RWKV-5 with a decay that each token brings along. Per head, with
 * the matrix S [key, value] and · over the key channels:
 *
 *     y = r · (S + (bonus ⊙ k) vᵀ)        S ← decay ⊙ S + k vᵀ
 *
 * r, k, v, decay: [tokens, width], decay in (0, 1); bonus: [heads, headSize]; state: [slots, heads,
 * headSize, headSize]; offsets: i32 [slots + 1]. Results: y [tokens, width] and the state.
 * Specification: RWKV-6; Peng et al. 2024, arXiv 2404.05892.
 */
export const wkv6 = defineOp<
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
  name: 'wkv6',
  arguments: ['r', 'k', 'v', 'decay', 'bonus', 'state', 'offsets'],
  infer([r, k, v, decay, bonus, state, offsets], _, fail) {
    const { heads, headSize } = headSizes(state!, fail);
    expectFloats(bonus!, 'bonus', [heads, headSize], '[heads, headSize]', fail);
    return headShapes({ r: r!, k: k!, v: v!, decay: decay! }, state!, offsets!, fail);
  },
  reference({ inputs, outputs: [y, next] }) {
    const bonus = floats(inputs[4]!);
    const { headSize } = headSizes(inputs[5]!);
    carryState(inputs[5]!, next!);
    forEachHeadStep(inputs.slice(0, 4), next!, inputs[6]!, y!, (step) => {
      const [first, end] = [step.head * headSize, (step.head + 1) * headSize];
      stepHead(step, step.vectors[3]!, bonus.subarray(first, end));
    });
  },
  gradient({ inputs, outputs: [y, next], cotangents: [toY, toState] }) {
    const [bonus, state, offsets] = inputs.slice(4);
    const [rows, ofBonus, ofState] = wkv6Backward(
      stack([...inputs.slice(0, 4), toY ?? zerosLike(y!)]),
      bonus!,
      state!,
      offsets!,
      toState ?? zerosLike(next!),
    );
    return [...unstack(rows), ofBonus, ofState, undefined];
  },
  inPlace: [[1, 5]],
  operations: ([r, , , , , state]) => 6 * r!.shape[0]! * r!.shape[1]! * state!.shape[3]!,
});
