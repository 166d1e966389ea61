/**
 * Layouts of packed matrices, q8 and q4, whose 32 numbers of a block share an f16 scale.
 *
 * Blocks along rows: panels of 8 rows, and in them block after block, quants and then 8 scales (those of
 * rows 0 and 4, 1 and 5, 2 and 6, 3 and 7). A product takes two columns at a time, of four rows in one
 * vector, so quants lie as these vectors want them:
 *   q8: for every 4 columns, 16 bytes of rows 0 to 3 and 16 of rows 4 to 7: columns 0 and 1 of each row, then 2 and 3;
 *   q4: for every 8 columns, the same in words of 16 bits: two of each row, of the even columns and of the
 *   odd, with four columns in each from the lowest bits on.
 *
 * Blocks along columns: panels of 32 rows, which are a block of every column: the quants of column after
 * column as the file has them, then the scales of all columns.
 */

const ROWS: i32 = 8;

/** Bytes of a block of 8 rows. */
// @ts-ignore: decorator
@inline
export function blockBytes(bits: i32): i32 {
  return (bits << 5) + 16;
}

/** Brings a packed matrix with blocks along rows into panels; `from` is a copy of it as files have it. */
export function packBlocks(from: usize, to: usize, rows: i32, columns: i32, bits: i32): void {
  const blocks = columns >> 5;
  const lineBytes = <usize>columns * bits >> 3;
  const scales = from + lineBytes * rows;
  for (let first = 0; first < rows; first += ROWS) {
    for (let block = 0; block < blocks; block++) {
      const quants = from + lineBytes * first + (<usize>block * bits << 2);
      if (bits == 8) packBytes(quants, lineBytes, to);
      else packNibbles(quants, lineBytes, to);
      to += <usize>bits << 5;
      for (let row = 0; row < 4; row++) {
        for (let half = 0; half < 8; half += 4) {
          store<u16>(to, load<u16>(scales + ((<usize>(first + row + half) * blocks + block) << 1)));
          to += 2;
        }
      }
    }
  }
}

function packBytes(quants: usize, lineBytes: usize, to: usize): void {
  for (let column: usize = 0; column < 32; column += 4) {
    for (let half: usize = 0; half < 8; half += 4) {
      for (let pair: usize = 0; pair < 4; pair += 2) {
        for (let row: usize = 0; row < 4; row++) {
          store<u16>(to, load<u16>(quants + (row + half) * lineBytes + column + pair));
          to += 2;
        }
      }
    }
  }
}

function packNibbles(quants: usize, lineBytes: usize, to: usize): void {
  for (let column = 0; column < 32; column += 8) {
    for (let half: usize = 0; half < 8; half += 4) {
      for (let row: usize = 0; row < 4; row++) {
        const line = quants + (row + half) * lineBytes;
        for (let odd = 0; odd < 2; odd++) {
          let word = 0;
          for (let j = 0; j < 4; j++) word |= nibble(line, column + 2 * j + odd) << (4 * j);
          store<u16>(to, <u16>word);
          to += 2;
        }
      }
    }
  }
}

/** Number `at` of a block of 4 bits: the low halves of 16 bytes, then the high ones. */
function nibble(block: usize, at: i32): i32 {
  const byte = <i32>load<u8>(block + (at & 15));
  return at < 16 ? byte & 15 : byte >> 4;
}

/** Brings a packed matrix with blocks along columns into panels. */
export function packColumns(from: usize, to: usize, rows: i32, columns: i32, bits: i32): void {
  const bytes = <usize>bits << 2;
  const blocks = rows >> 5;
  const scales = from + <usize>columns * blocks * bytes;
  for (let block = 0; block < blocks; block++) {
    for (let column = 0; column < columns; column++) {
      memory.copy(to, from + (<usize>column * blocks + block) * bytes, bytes);
      to += bytes;
    }
    for (let column = 0; column < columns; column++) {
      store<u16>(to, load<u16>(scales + ((<usize>column * blocks + block) << 1)));
      to += 2;
    }
  }
}
