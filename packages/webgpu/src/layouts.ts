import {
  byteLength,
  isFloating,
  isPacked,
  type OpDefinition,
  type OperationView,
  type TensorSpec,
} from '@rwkv-js/tensor';

/** How a plain matrix lies whose columns are read one by one: as its transpose does. */
export const columns = 'columns';

/** Bytes of a matrix from which it pays to leave columns out, as their sums take a second dispatch. */
const worthColumns = 2 ** 26;

/**
 * The layout that an operation wants a parameter in. A large weight of `linearOfSparse` lies by columns, so that
 * those that meet zeros of x are not read; a packed one of these is packed so already.
 */
export function parameterLayout(
  { name }: OpDefinition,
  argument: number,
  spec: TensorSpec,
): string {
  const skips = name === 'linearOfSparse' && argument === 1 && fitsColumns(spec);
  return skips && byteLength(spec) >= worthColumns ? columns : 'row-major';
}

/** True for a spec that can lie in a layout of this device. */
export function fitsLayout(spec: TensorSpec, layout: string): boolean {
  return layout === 'row-major' || (layout === columns && fitsColumns(spec));
}

function fitsColumns({ dtype, shape }: TensorSpec): boolean {
  return isFloating(dtype) && !isPacked(dtype) && shape.length === 2;
}

/** What the bytes of a tensor are in memory, read row by row. */
export function specInMemory({ dtype, shape }: TensorSpec, layout: string): TensorSpec {
  return { dtype, shape: layout === columns ? shape.toReversed() : shape };
}

/** The layout of an operation's input. */
export function layoutOf(
  { definition, inputs, isParameter }: OperationView,
  argument: number,
): string {
  return isParameter[argument]
    ? parameterLayout(definition, argument, inputs[argument]!)
    : 'row-major';
}

/** An operation with the specs of its inputs as they lie in memory, which is what kernels read. */
export function viewInMemory(view: OperationView): OperationView {
  const inputs = view.inputs.map((spec, i) => specInMemory(spec, layoutOf(view, i)));
  return { ...view, inputs };
}
