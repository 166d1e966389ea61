import { isPacked, type TensorSpec } from '@rwkv-js/tensor';
import type { Launcher } from '../kernels.ts';
import { rowsInPanels } from '../layouts.ts';

/** Bytes of the block that a product of many tokens works in; assembly/matrix-matrix.ts. */
const blockBytes = 512 * 8 * 4;

/** Numbers of assembly/linear.ts for the dtypes of weights. */
export function weightDType({ dtype }: TensorSpec): number | undefined {
  if (isPacked(dtype)) return undefined;
  const at = (['f32', 'f16', 'bf16'] as const).findIndex((name) => name === dtype);
  return at < 0 ? undefined : at;
}

/** Working memory of a product: a block of weights, or what one token's x becomes. */
export function productScratch(tokens: number, columns: number): number {
  return tokens > 1 ? blockBytes : 8 * columns;
}

const linear: Launcher = ({ definition, inputs: [x, weight] }) => {
  const dtype = weightDType(weight!);
  if (x!.dtype !== 'f32' || dtype === undefined) return undefined;
  const [tokens, columns] = x!.shape as [number, number];
  const rows = weight!.shape[0]!;
  const becomes = definition.name === 'linearSquaredRelu' ? 1 : 0;
  const sparse = definition.name === 'linearOfSparse' ? 1 : 0;
  return {
    kernel: 'linear',
    scalars: [tokens, columns, rows, dtype, rowsInPanels(rows), becomes, sparse],
    scratchBytes: productScratch(tokens, columns),
  };
};

export const launchLinear: Readonly<Record<string, Launcher>> = {
  linear,
  linearSquaredRelu: linear,
  linearOfSparse: linear,
};

/** Operations whose second argument is a matrix in panels, when it is a parameter. */
export const linearOperations: ReadonlySet<string> = new Set(Object.keys(launchLinear));
