import type { Kernel } from '../kernel.ts';
import { loadQuads } from './matrix.ts';
import { matrixVector } from './matrix-vector.wgsl.ts';
import type { Products } from './product.ts';
import { subgroupMatrixProduct, takesSubgroupMatrices } from './subgroup-matrix-product.wgsl.ts';
import { tiledProduct } from './tiled-product.wgsl.ts';
import { transposedProduct } from './transposed-product.wgsl.ts';

/** The most rows of x that are multiplied as vectors; beyond, tiles pay. */
const vectorRows = 4;

/** The dispatches of some products, by how many rows there are and how the weights lie. */
export function kernelOf(all: Products): Kernel {
  const { tokens, products, inputs } = all;
  const tiled = takesSubgroupMatrices(all) ? subgroupMatrixProduct : tiledProduct;
  if (products.every(({ transposed }) => transposed)) {
    // A load of packed numbers times several rows is more sums than a thread has room for.
    const wide = products.some(({ weight }) => loadQuads(inputs[weight]!) > 2);
    return tokens <= (wide ? 1 : vectorRows) ? transposedProduct(all) : tiled(all);
  }
  if (tokens > vectorRows) return tiled(all);
  return { passes: [matrixVector(all)] };
}
