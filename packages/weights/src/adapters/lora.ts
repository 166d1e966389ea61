import { UsageError, type WeightSource } from '@rwkv-js/tensor';
import type { MatrixChanges } from './adapter.ts';
import { factorPairs, lowRankChange } from './low-rank.ts';

/** How LoRA files name their factors: lora_A [rank, in], lora_B [out, rank]. */
export const loraEndings = { down: '.lora_A', up: '.lora_B' } as const;

/**
 * LoRA: W + (alpha / rank) · lora_B · lora_A. Specification, LoRA; Hu et al. 2021, arXiv 2106.09685.
 *
 * @param alpha what it was trained with; files do not hold it.
 * @throws UsageError without alpha.
 */
export function lora(source: WeightSource, alpha: number | undefined): MatrixChanges {
  const pairs = factorPairs(source, loraEndings, (rank) => (alpha ?? NaN) / rank);
  if (pairs.size > 0 && alpha === undefined) {
    throw new UsageError(
      `Adapter ${source.label} has LoRA factors, whose file does not hold the alpha that it was ` +
        `trained with; give alpha, often 16 or 32. Give the start file as init if it is a PiSSA.`,
    );
  }
  return new Map(Array.from(pairs, ([name, pair]) => [`${name}.weight`, lowRankChange([pair])]));
}
