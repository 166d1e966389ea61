import { isPacked, packedForm, type PackedSpec, type TensorSpec } from '@rwkv-js/tensor';

/** Layouts of matrices that products read; assembly/panels.ts and assembly/blocks.ts say how they lie. */
export const panels = 'panels of 32 rows';
export const blockPanels = 'blocks of 8 rows';
export const columnPanels = 'columns of 32 rows';

/** Rows of a panel, by layout. */
export const panelRows = 32;
export const blockPanelRows = 8;

/** Rows of a plain matrix that lie in panels; the others come after them, as they are. */
export function rowsInPanels(rows: number): number {
  return rows - (rows % panelRows);
}

/** True for the packed matrices that kernels take: q8 and q4 in whole panels. */
export function isInPanels({ dtype, shape }: TensorSpec): boolean {
  if (!isPacked(dtype) || shape.length !== 2 || dtype.scale !== 'f16') return false;
  return dtype.axis === -2 || shape[0]! % blockPanelRows === 0;
}

/** The layout that products want a weight [out, in] in. */
export function weightLayout(spec: TensorSpec): string {
  if (!isPacked(spec.dtype)) return rowsInPanels(spec.shape[0] ?? 0) > 0 ? panels : 'row-major';
  if (!isInPanels(spec)) return 'row-major';
  return spec.dtype.axis === -1 ? blockPanels : columnPanels;
}

/** Whether a tensor can be in a layout. */
export function fitsLayout(spec: TensorSpec, layout: string): boolean {
  if (layout === 'row-major') return true;
  if (spec.dtype === 'i32' || spec.dtype === 'u32' || spec.shape.length !== 2) return false;
  return layout === weightLayout(spec);
}

/** What assembly/panels.ts calls the way from row-major to a layout. */
export function packingForm({ dtype }: TensorSpec, layout: string): number {
  if (!isPacked(dtype)) return dtype === 'f32' ? 0 : 1;
  return (layout === blockPanels ? 2 : 4) + (dtype.bits === 8 ? 0 : 1);
}

/** Working memory that packing takes: a panel of plain rows, or all of a packed matrix, whose planes interlace. */
export function packingScratch({ dtype, shape }: TensorSpec, _: string, bytes: number): number {
  if (isPacked(dtype)) return bytes;
  return panelRows * shape[1]! * (dtype === 'f32' ? 4 : 2);
}

/** For every element of a matrix in a layout, in its plain order: its place in memory. Bytes of packed ones. */
export function placesInPanels(spec: TensorSpec): (element: number) => number {
  const { dtype, shape } = spec;
  if (isPacked(dtype)) return placesOfBytes({ dtype, shape });
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

function placesOfBytes(spec: PackedSpec): (byte: number) => number {
  throw new Error(`no places in ${packedForm(spec).lines} lines`);
}
