import { elementCount, isPacked, type OperationView, type TensorSpec } from '@rwkv-js/tensor';
import type { Launcher } from '../kernels.ts';
import { isInPanels, rowsInPanels } from '../layouts.ts';

/** Bytes of the block that a product of many tokens works in; assembly/matrix-matrix.ts. */
const blockBytes = 512 * 8 * 4;

/** Bytes of a block of 8 rows in 16 bits with its scales; assembly/quantized.ts. */
const wideBlockBytes = 512 + 32;

/** Numbers of assembly/linear.ts for the dtypes of weights. */
export function weightDType({ dtype }: TensorSpec): number | undefined {
  if (isPacked(dtype)) return undefined;
  const at = (['f32', 'f16', 'bf16'] as const).findIndex((name) => name === dtype);
  return at < 0 ? undefined : at;
}

/** The same, with 3 and 4 for q8 and q4 in rows as files have them. */
export function rowDType(spec: TensorSpec): number | undefined {
  const { dtype } = spec;
  if (!isPacked(dtype)) return weightDType(spec);
  if (dtype.axis !== -1 || dtype.scale !== 'f16') return undefined;
  return dtype.bits === 8 ? 3 : 4;
}

/** Working memory of a product: a block of weights, or what one token's x becomes. */
export function productScratch(tokens: number, columns: number): number {
  return tokens > 1 ? blockBytes : 8 * columns + 8;
}

/** Working memory of a product of quantised rows: them in 16 bits, and a panel of 8 rows. */
export function quantizedScratch(tokens: number, columns: number): number {
  return 2 * tokens * columns + (columns / 32) * wideBlockBytes;
}

/** The same where the rows are plain and become 16 bits, with scales. */
function plainScratch(tokens: number, columns: number): number {
  return quantizedScratch(tokens, columns) + (tokens * columns) / 8;
}

/** Columns that assembly/packed-columns.ts takes at a time, and those that have one scale. */
const chunk = 512;
const group = 128;

/** Working memory of a product of plain rows with blocks along columns; assembly/packed-columns.ts. */
function columnsScratch(tokens: number, columns: number): number {
  const lists = tokens * Math.ceil(columns / group) * (4 + 8 * group);
  const most = 32 * Math.ceil(columns / 32);
  const panel = 4 * most + 16 * chunk + 32 * (chunk / group);
  const rows = tokens * (2 * chunk + 4 * (chunk / group) + (columns < most ? 4 * most : 0));
  // One or the other, by how many zeros there are.
  return 8 * group + Math.max(lists, panel + rows);
}

const linear: Launcher = (operation) => {
  const [x, weight] = operation.inputs as [TensorSpec, TensorSpec];
  if (isPacked(weight.dtype)) return packed(operation);
  const dtype = weightDType(weight);
  if (x.dtype !== 'f32' || dtype === undefined) return undefined;
  const [tokens, columns] = x.shape as [number, number];
  const rows = weight.shape[0]!;
  return {
    kernel: 'linear',
    scalars: [
      tokens,
      columns,
      rows,
      dtype,
      // What is computed, or trained, lies row by row.
      operation.isParameter[1] ? rowsInPanels(rows) : 0,
      becomes(operation),
      sparse(operation),
    ],
    scratchBytes: productScratch(tokens, columns),
  };
};

const packed: Launcher = (operation) => {
  const [x, weight] = operation.inputs as [TensorSpec, TensorSpec];
  if (!isPacked(weight.dtype) || !isInPanels(weight) || !operation.isParameter[1]) {
    return undefined;
  }
  const [tokens, columns] = x.shape as [number, number];
  const { bits, axis } = weight.dtype;
  const scalars = [tokens, columns, weight.shape[0]!, bits, becomes(operation)];
  if (x.dtype === 'f32') {
    return {
      kernel: 'packedLinear',
      scalars: [...scalars, axis === -1 ? 0 : 1],
      scratchBytes: axis === -1 ? plainScratch(tokens, columns) : columnsScratch(tokens, columns),
    };
  }
  if (axis !== -1) return undefined;
  return {
    kernel: 'quantizedLinear',
    scalars,
    scratchBytes: quantizedScratch(tokens, columns),
  };
};

const becomes = ({ definition }: OperationView): number =>
  definition.name === 'linearSquaredRelu' ? 1 : 0;
const sparse = ({ definition }: OperationView): number =>
  definition.name === 'linearOfSparse' ? 1 : 0;

const quantize: Launcher = ({ inputs: [x] }) => ({
  kernel: 'quantize',
  scalars: [elementCount(x!.shape) / 32],
});

const products = { linear, linearSquaredRelu: linear, linearOfSparse: linear };

export const launchLinear: Readonly<Record<string, Launcher>> = { ...products, quantize };

/** Operations whose second argument is a matrix in a layout of products, when it is a parameter. */
export const linearOperations: ReadonlySet<string> = new Set(Object.keys(products));
