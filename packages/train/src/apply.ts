import { adamW, clipByGlobalNorm, scale, zerosLike } from '@rwkv-js/core';
import { f32, i32, record, type Program, type TensorSpec } from '@rwkv-js/tensor';
import { tensorGroup, type OptimizerSettings } from './optimizer.ts';

/**
 * The second program of training: clips what was added up, takes a step with every weight, and begins
 * the sums anew. Inputs: `rate` f32 [1], the learning rate, and `step` i32 [1], 1 at the first. Output:
 * `norm` f32 [], that of the gradients before they were clipped. States: `<weight>`, its sum of gradients
 * `gradient.<weight>`, and its moments `first.<weight>` and `second.<weight>`.
 *
 * @param weights their specs by name
 */
export function recordApply(
  weights: ReadonlyMap<string, TensorSpec>,
  { clip, ...settings }: OptimizerSettings,
): Program {
  return record('apply gradients', (g) => {
    const rate = g.input('rate', f32(1));
    const step = g.input('step', i32(1));
    const names = [...weights.keys()];
    const state = (name: string, of: string) => g.state(name, weights.get(of)!);
    const sums = names.map((name) => state(`gradient.${name}`, name));
    const { clipped, norm } = clipByGlobalNorm(sums, { limit: clip });
    names.forEach((name, i) => {
      const { rateFactor, decays } = tensorGroup(name, weights.get(name)!.shape);
      const old = ['', 'first.', 'second.'].map((prefix) => state(prefix + name, name));
      const next = adamW(
        old[0]!,
        clipped[i]!,
        old[1]!,
        old[2]!,
        rateFactor === 1 ? rate : scale(rate, { factor: rateFactor }),
        step,
        decays ? settings : { ...settings, weightDecay: 0 },
      );
      old.forEach((value, at) => g.update(value, next[at]!));
      g.update(sums[i]!, zerosLike(sums[i]!));
    });
    return { norm };
  });
}
