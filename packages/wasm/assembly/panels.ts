/**
 * The layout of matrices: panels of 32 rows. Within a panel, what the rows have in column 0 comes first,
 * then column 1, and so on, so that one element of x meets 32 weights that lie together, and 32 sums grow
 * side by side. 16-bit weights lie in groups of 8 rows, in pairs: rows 0 and 4, 1 and 5, 2 and 6, 3 and 7;
 * see weights.ts. Rows that fill no panel come last, as they are.
 */

import { packBlocks, packColumns } from './blocks';

export const PANEL: i32 = 32;

/**
 * Brings a row-major matrix into panels where it lies, by way of `scratch`, which holds 32 rows.
 */
function packPanels(matrix: usize, rows: i32, columns: i32, size: i32, scratch: usize): void {
  const bytes = <usize>PANEL * columns * size;
  for (let row = 0; row + PANEL <= rows; row += PANEL) {
    memory.copy(scratch, matrix, bytes);
    if (size == 4) packWords(scratch, matrix, columns);
    else packHalves(scratch, matrix, columns);
    matrix += bytes;
  }
}

function packWords(from: usize, to: usize, columns: i32): void {
  const stride = <usize>columns << 2;
  for (let column = 0; column < columns; column++) {
    let source = from + (<usize>column << 2);
    for (let row = 0; row < PANEL; row++) {
      store<u32>(to, load<u32>(source));
      source += stride;
      to += 4;
    }
  }
}

function packHalves(from: usize, to: usize, columns: i32): void {
  const stride = <usize>columns << 1;
  for (let column = 0; column < columns; column++) {
    let source = from + (<usize>column << 1);
    for (let group = 0; group < 4; group++) {
      for (let row: usize = 0; row < 4; row++) {
        const low = <u32>load<u16>(source + row * stride);
        const high = <u32>load<u16>(source + (row + 4) * stride);
        store<u32>(to, low | (high << 16));
        to += 4;
      }
      source += stride << 3;
    }
  }
}

const WORDS: i32 = 0;
const HALVES: i32 = 1;
const BYTES_BY_ROW: i32 = 2;
const NIBBLES_BY_ROW: i32 = 3;
const BYTES_BY_COLUMN: i32 = 4;

/** Brings a matrix into its layout where it lies. `scratch` holds 32 plain rows, or all of a packed matrix. */
export function packMatrix(matrix: usize, rows: i32, columns: i32, form: i32, scratch: usize): void {
  if (form == WORDS) return packPanels(matrix, rows, columns, 4, scratch);
  if (form == HALVES) return packPanels(matrix, rows, columns, 2, scratch);
  const bits = form == BYTES_BY_ROW || form == BYTES_BY_COLUMN ? 8 : 4;
  const blocks = <usize>rows * columns >> 5;
  memory.copy(scratch, matrix, blocks * (bits * 4 + 2));
  if (form <= NIBBLES_BY_ROW) packBlocks(scratch, matrix, rows, columns, bits);
  else packColumns(scratch, matrix, rows, columns, bits);
}
