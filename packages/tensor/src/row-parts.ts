import { isPacked } from './dtype.ts';
import type { KernelTable, MemoryPolicy } from './kernel-table.ts';
import type { RowPart } from './op.ts';
import type { Operation, Program } from './program.ts';
import type { TensorSpec } from './spec.ts';

/** Rows that a part is a multiple of, so that kernels cut it as they cut the whole. */
const rowsTogether = 64;

/** The values that an operation reads or writes of which a kernel of the device cannot see all. */
export function tooLarge(
  { values }: Program,
  { inputs, outputs }: Operation,
  { memory }: KernelTable,
): readonly number[] {
  return [...inputs, ...outputs].filter(
    (id) => memory.byteLength(values[id]!.spec) > memory.largestBinding,
  );
}

/**
 * The fewest parts of a matrix's rows that a kernel can see each at once; undefined where a single row, or a block
 * of them, is too large.
 */
export function rowParts(
  { dtype, shape }: TensorSpec,
  memory: MemoryPolicy,
): readonly RowPart[] | undefined {
  const [total, width] = shape as [number, number];
  const bytesOf = (rows: number): number => memory.byteLength({ dtype, shape: [rows, width] });
  const block = isPacked(dtype) && dtype.axis === -2 ? dtype.block : 1;
  for (const step of [rowsTogether, block]) {
    let rows = Math.floor(total / step) * step;
    if (rows > 0) rows = Math.floor((memory.largestBinding / bytesOf(rows)) * (rows / step)) * step;
    while (rows > 0 && bytesOf(rows) > memory.largestBinding) rows -= step;
    if (rows <= 0) continue;
    return Array.from({ length: Math.ceil(total / rows) }, (_, i) => ({
      start: i * rows,
      end: Math.min(total, (i + 1) * rows),
    }));
  }
  return undefined;
}
