import type { Pass } from '../kernel.ts';
import { matrixVector } from './matrix-vector.wgsl.ts';
import type { Products } from './product.ts';
import { tiledProduct } from './tiled-product.wgsl.ts';
import { transposedProduct } from './transposed-product.wgsl.ts';

/** The most rows of x that are multiplied as vectors; beyond, tiles pay. */
export const vectorRows = 4;

/** The dispatches of some products, by how many rows there are and how the weights lie. */
export function passesOf(all: Products): { passes: readonly Pass[]; scratchBytes: number } {
  if (all.tokens > vectorRows) return tiledProduct(all);
  if (all.products.every(({ transposed }) => transposed)) return transposedProduct(all);
  return { passes: [matrixVector(all)], scratchBytes: 0 };
}
