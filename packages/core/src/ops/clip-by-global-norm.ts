import { UsageError, type Value } from '@rwkv-js/tensor';
import { add } from './add.ts';
import { clipByNorm } from './clip-by-norm.ts';
import { sqrt } from './sqrt.ts';
import { sumOfSquares } from './sum-of-squares.ts';

/**
 * Records the clipping of gradients by the Euclidean norm of all of them together (Pascanu, Mikolov and
 * Bengio 2013, arXiv 1211.5063). Not one operation but several, as no kernel takes that many tensors.
 *
 * @returns the gradients, scaled down alike so that their norm is at most `limit`, and what it was: []
 */
export function clipByGlobalNorm(
  gradients: readonly Value[],
  { limit }: { readonly limit: number },
): { readonly clipped: readonly Value[]; readonly norm: Value } {
  if (gradients.length === 0) throw new UsageError('clipByGlobalNorm was given no gradients');
  const norm = sqrt(
    gradients.map((gradient) => sumOfSquares(gradient)).reduce((a, b) => add(a, b)),
  );
  return { clipped: gradients.map((gradient) => clipByNorm(gradient, norm, { limit })), norm };
}
