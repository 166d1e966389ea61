import { FormatError, type WeightSource } from '@rwkv-js/tensor';
import { quote } from '../quote.ts';
import type { MatrixChanges } from './adapter.ts';
import { factorPairs, lowRankChange } from './low-rank.ts';
import { loraEndings } from './lora.ts';

/**
 * PiSSA: what was taken out of the weights at the start of training is taken out, and what was trained
 * in its place is added: W − init_lora_B · init_lora_A + lora_B · lora_A. Nothing scales it.
 * Specification, PiSSA; Meng et al. 2024, arXiv 2404.02948.
 *
 * @param init the file of the start, `init_pissa.pth`
 * @throws FormatError when the two files are not for the same matrices.
 */
export function pissa(source: WeightSource, init: WeightSource): MatrixChanges {
  const trained = factorPairs(source, loraEndings, () => 1);
  const start = factorPairs(init, { down: '.init_lora_A', up: '.init_lora_B' }, () => -1);
  const check = (of: WeightSource, has: typeof trained, other: typeof trained): void => {
    const lacking = [...other.keys()].find((module) => !has.has(module));
    if (lacking === undefined) return;
    throw new FormatError(
      `Adapter ${source.label} with the start ${init.label}: ${of.label} has no factors for ` +
        `${quote(lacking)}, which the other has; they are not of one training.`,
    );
  };
  check(source, trained, start);
  check(init, start, trained);
  return new Map(
    Array.from(trained, ([module, pair]) => {
      const first = start.get(module);
      return [`${module}.weight`, lowRankChange(first ? [first, pair] : [pair])];
    }),
  );
}
