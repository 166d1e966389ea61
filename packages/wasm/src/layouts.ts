import { isPacked, packedForm, type PackedSpec, type TensorSpec } from '@rwkv-js/tensor';

/** Layouts of matrices that products read; assembly/panels.ts and assembly/blocks.ts say how they lie. */
const panels = 'panels of 32 rows';
const blockPanels = 'blocks of 8 rows';
const columnPanels = 'columns of 32 rows';

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
export function packingScratch({ dtype, shape }: TensorSpec, bytes: number): number {
  if (isPacked(dtype)) return bytes;
  return panelRows * shape[1]! * (dtype === 'f32' ? 4 : 2);
}

/** For every element of a plain matrix in panels, row by row: its place in memory. */
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

/** The bytes of a packed matrix as files have them, from those of its layout. */
export function unpackPanels(spec: PackedSpec, layout: string, bytes: Uint8Array): Uint8Array {
  const { quantBytes, blocks } = packedForm(spec);
  const plain = new Uint8Array(bytes.length);
  const from = new DataView(bytes.buffer, bytes.byteOffset);
  const to = new DataView(plain.buffer);
  const copyScale = (place: number, line: number, block: number): void =>
    to.setUint16(quantBytes + 2 * (line * blocks + block), from.getUint16(place, true), true);
  const [rows, columns] = spec.shape as [number, number];
  const { bits } = spec.dtype;
  let at = 0;
  if (layout === columnPanels) {
    for (let block = 0; block < rows / 32; block++) {
      for (let column = 0; column < columns; column++, at += 4 * bits) {
        plain.set(bytes.subarray(at, at + 4 * bits), (column * blocks + block) * 4 * bits);
      }
      for (let column = 0; column < columns; column++, at += 2) copyScale(at, column, block);
    }
    return plain;
  }
  for (let first = 0; first < rows; first += blockPanelRows) {
    for (let block = 0; block < blocks; block++, at += 32 * bits + 16) {
      for (let row = 0; row < blockPanelRows; row++) {
        const line = ((first + row) * blocks + block) * 4 * bits;
        for (let column = 0; column < 32; column++) {
          if (bits === 8) plain[line + column] = bytes[at + byteOf(row, column)]!;
          else {
            const quant = (from.getUint16(at + wordOf(row, column), true) >> nibbleOf(column)) & 15;
            plain[line + (column % 16)]! |= quant << (column < 16 ? 0 : 4);
          }
        }
        copyScale(at + 32 * bits + 4 * (row & 3) + 2 * (row >> 2), first + row, block);
      }
    }
  }
  return plain;
}

// Where assembly/blocks.ts puts a number of a block of 8 rows.
const byteOf = (row: number, column: number): number =>
  32 * (column >> 2) + 16 * (row >> 2) + 8 * ((column >> 1) & 1) + 2 * (row & 3) + (column & 1);
const wordOf = (row: number, column: number): number =>
  32 * (column >> 3) + 16 * (row >> 2) + 4 * (row & 3) + 2 * (column & 1);
const nibbleOf = (column: number): number => 4 * ((column & 7) >> 1);
