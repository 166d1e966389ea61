/**
 * The layout of matrices: panels of 32 rows. Within a panel, what the rows have in column 0 comes first,
 * then column 1, and so on, so that one element of x meets 32 weights that lie together, and 32 sums grow
 * side by side. 16-bit weights lie in groups of 8 rows, in pairs: rows 0 and 4, 1 and 5, 2 and 6, 3 and 7;
 * see weights.ts. Rows that fill no panel come last, as they are.
 */

export const PANEL: i32 = 32;

/**
 * Brings a row-major matrix into panels where it lies, by way of `scratch`, which holds 32 rows.
 */
export function packPanels(matrix: usize, rows: i32, columns: i32, size: i32, scratch: usize): void {
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
