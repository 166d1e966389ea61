import type { TensorSpec } from '@rwkv-js/tensor';

/** Rows of a panel; assembly/panels.ts says how they lie. */
export const panelRows = 32;

/** The layout of matrices that products read. */
export const panels = 'panels of 32 rows';

/** Rows of a matrix that lie in panels; the others come after them, as they are. */
export function rowsInPanels(rows: number): number {
  return rows - (rows % panelRows);
}

/** The layout of a weight [out, in]: panels where there is one to fill. */
export function weightLayout({ shape }: TensorSpec): string {
  return rowsInPanels(shape[0] ?? 0) > 0 ? panels : 'row-major';
}

/** For every element of a matrix in panels, row by row: its place in memory. */
export function placesInPanels({ dtype, shape }: TensorSpec): (element: number) => number {
  const [rows, columns] = shape as [number, number];
  const packed = rowsInPanels(rows) * columns;
  // 16-bit elements lie in pairs, four rows apart.
  const within =
    dtype === 'f32'
      ? (row: number) => row
      : (row: number) => (row & 24) + 2 * (row & 3) + ((row >> 2) & 1);
  return (element) => {
    if (element >= packed) return element;
    const row = Math.floor(element / columns);
    const column = element % columns;
    const panel = Math.floor(row / panelRows);
    return panel * panelRows * columns + column * panelRows + within(row % panelRows);
  };
}
