import { defineOp, elementCount, sameShape, type Value } from '@rwkv-js/tensor';
import { expectFloats, expectIndexes } from './shape-rules.ts';

/** What stays the same from step to step. */
export type AdamWSettings = {
  /** Share of the first moment that is kept from step to step. */
  readonly beta1: number;
  /** The same of the second moment. */
  readonly beta2: number;
  /** Added to the root of the second moment. */
  readonly epsilon: number;
  /** Share of the weight that is taken off at every step, times the learning rate. */
  readonly weightDecay: number;
};

/**
 * One step of AdamW, with bias correction and decoupled weight decay (Loshchilov and Hutter 2019, arXiv
 * 1711.05101):
 *
 *     m ← β₁ m + (1 − β₁) g        v ← β₂ v + (1 − β₂) g²
 *     weight ← weight (1 − rate · decay) − rate · m / (1 − β₁ᵗ) / (√(v / (1 − β₂ᵗ)) + epsilon)
 *
 * weight, gradient, m, v: one shape, all but the gradient states, written where they lie; rate: the
 * learning rate, f32 [1]; step: t, i32 [1], 1 at the first. Results: weight, m, v.
 * Specification: training, optimizer.
 */
export const adamW = defineOp<
  (
    weight: Value,
    gradient: Value,
    firstMoment: Value,
    secondMoment: Value,
    rate: Value,
    step: Value,
    settings: AdamWSettings,
  ) => readonly [weight: Value, firstMoment: Value, secondMoment: Value]
>({
  name: 'adamW',
  arguments: ['weight', 'gradient', 'firstMoment', 'secondMoment', 'rate', 'step'],
  infer([weight, gradient, first, second, rate, step], _, fail) {
    for (const spec of [weight!, gradient!, first!, second!]) {
      if (spec.dtype !== 'f32' || !sameShape(spec.shape, weight!.shape)) {
        fail('weight, gradient and both moments must be f32 of one shape');
      }
    }
    expectFloats(rate!, 'rate', [1], '[1]', fail);
    expectIndexes(step!, 'step', 1, fail);
    const like = { dtype: 'f32', shape: weight!.shape } as const;
    return [like, like, like];
  },
  reference({ inputs, outputs, attributes: { beta1, beta2, epsilon, weightDecay } }) {
    const [weight, gradient, first, second] = inputs.map(({ data }) => data);
    const [nextWeight, nextFirst, nextSecond] = outputs.map(({ data }) => data);
    const rate = inputs[4]!.data[0]!;
    const step = inputs[5]!.data[0]!;
    const firstCorrection = 1 / (1 - beta1 ** step);
    const secondCorrection = 1 / (1 - beta2 ** step);
    for (let i = 0; i < weight!.length; i++) {
      const flow = gradient![i]!;
      const m = beta1 * first![i]! + (1 - beta1) * flow;
      const v = beta2 * second![i]! + (1 - beta2) * flow * flow;
      const change = (m * firstCorrection) / (Math.sqrt(v * secondCorrection) + epsilon);
      nextWeight![i] = weight![i]! * (1 - rate * weightDecay) - rate * change;
      nextFirst![i] = m;
      nextSecond![i] = v;
    }
  },
  inPlace: [
    [0, 0],
    [1, 2],
    [2, 3],
  ],
  operations: ([weight]) => 14 * elementCount(weight!.shape),
});
