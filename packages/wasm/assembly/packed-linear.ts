import { buffer, integer } from './arguments';
import { blockBytes } from './blocks';
import { columnBytes, columnsAsFloats, columnsTimesSparse } from './columns';
import { squareRelu } from './linear';
import { BLOCK, tokensTimesGroup } from './matrix-matrix';
import {
  bytesTimesRow, correctionsOf, nibblesTimesRow, panelAsFloats, panelTimesFour, WIDE_BLOCK, widenPanel, widenRow,
} from './quantized';
import { own, shareEnd, shareStart } from './team';

const SQUARED_RELU: i32 = 1;

/**
 * Products of quantised rows with weights packed along rows. Buffers: x (quants, then scales), weight, y. Scalars:
 * tokens, columns, rows (a multiple of 8), bits, what becomes of sums.
 */
export function quantizedLinear(buffers: usize, scalars: usize): void {
  const tokens = integer(scalars, 0), columns = integer(scalars, 1), rows = integer(scalars, 2);
  const x = buffer(buffers, 0);
  quantizedProduct(
    x, x + <usize>tokens * columns, tokens, columns, buffer(buffers, 1), integer(scalars, 3), rows,
    buffer(buffers, 2), <usize>rows << 2, integer(scalars, 4),
  );
}

/** This worker's rows of x Wᵀ, x being quants with scales. */
export function quantizedProduct(
  quants: usize, scales: usize, tokens: i32, columns: i32, weight: usize, bits: i32, rows: i32,
  y: usize, yStride: usize, becomes: i32,
): void {
  const first = shareStart(rows, 8), end = shareEnd(rows, 8);
  if (first == end) return;
  const blocks = columns >> 5;
  const panelBytes = <usize>blocks * blockBytes(bits);
  let panel = weight + (<usize>first >> 3) * panelBytes;
  let target = y + (<usize>first << 2);
  // Quants as 16 bits first, then what kind of work needs beside them.
  const rowBytes = <usize>columns << 1;
  for (let token: usize = 0; token < <usize>tokens; token++) {
    widenRow(quants + token * columns, columns, own + token * rowBytes);
  }
  const beside = own + <usize>tokens * rowBytes;
  if (tokens == 1) {
    if (bits == 4) correctionsOf(own, columns, beside);
    for (let row = first; row < end; row += 8) {
      if (bits == 8) bytesTimesRow(panel, own, scales, columns, target);
      else nibblesTimesRow(panel, own, scales, beside, columns, target);
      panel += panelBytes;
      target += 32;
    }
  } else {
    for (let row = first; row < end; row += 8) {
      widenPanel(panel, bits, columns, beside);
      tokensTimesPanel(beside, tokens, rowBytes, scales, columns, target, yStride);
      panel += panelBytes;
      target += 32;
    }
  }
  if (becomes == SQUARED_RELU) squareRelu(y + (<usize>first << 2), yStride, tokens, end - first);
}

function tokensTimesPanel(
  wide: usize, tokens: i32, rowBytes: usize, scales: usize, columns: i32, y: usize, yStride: usize,
): void {
  const scaleBytes = <usize>columns >> 3;
  let token: usize = 0;
  for (; token + 4 <= <usize>tokens; token += 4) {
    panelTimesFour(
      wide, own + token * rowBytes, rowBytes, scales + token * scaleBytes, scaleBytes, columns, y + token * yStride, yStride,
    );
  }
  // What is left of four: the same row in all places gives the same sums, written over each other.
  for (; token < <usize>tokens; token++) {
    panelTimesFour(wide, own + token * rowBytes, 0, scales + token * scaleBytes, 0, columns, y + token * yStride, 0);
  }
}

/**
 * Products of plain rows with packed weights. Buffers: x, weight, y. Scalars: tokens, columns, rows, bits, what
 * becomes of sums, whether blocks run along columns.
 */
export function packedLinear(buffers: usize, scalars: usize): void {
  const tokens = integer(scalars, 0), columns = integer(scalars, 1), rows = integer(scalars, 2), bits = integer(scalars, 3);
  const x = buffer(buffers, 0), weight = buffer(buffers, 1), y = buffer(buffers, 2);
  const yStride = <usize>rows << 2;
  const unit = integer(scalars, 5) ? 32 : 8;
  const first = shareStart(rows, unit), end = shareEnd(rows, unit);
  if (unit == 8) rowBlocks(x, tokens, columns, weight, bits, first, end, y, yStride);
  else if (tokens == 1) sparseToken(x, columns, weight, bits, first, end, y);
  else columnBlocks(x, tokens, columns, weight, bits, first, end, y, yStride);
  if (integer(scalars, 4) == SQUARED_RELU) squareRelu(y + (<usize>first << 2), yStride, tokens, end - first);
}

function rowBlocks(
  x: usize, tokens: i32, columns: i32, weight: usize, bits: i32, first: i32, end: i32, y: usize, yStride: usize,
): void {
  const blocks = columns >> 5;
  const floats = own + <usize>blocks * WIDE_BLOCK;
  for (let row = first; row < end; row += 8) {
    panelAsFloats(weight + (<usize>row >> 3) * blocks * blockBytes(bits), bits, columns, own, floats);
    tokensTimesGroup(floats, columns, x, <usize>columns << 2, tokens, y + (<usize>row << 2), yStride, false);
  }
}

function sparseToken(x: usize, columns: i32, weight: usize, bits: i32, first: i32, end: i32, y: usize): void {
  let stop = own;
  for (let i: usize = 0; i < <usize>columns; i++) {
    // Without a branch, which would be guessed wrong often.
    const value = load<f32>(x + (i << 2));
    store<f32>(stop, value);
    store<u32>(stop, <u32>i, 4);
    stop += <usize>i32(value != 0) << 3;
  }
  for (let row = first; row < end; row += 32) {
    const panel = weight + <usize>(row >> 5) * columns * (columnBytes(bits) + 2);
    if (bits == 8) columnsTimesSparse(panel, 8, columns, own, stop, y + (<usize>row << 2));
    else columnsTimesSparse(panel, 4, columns, own, stop, y + (<usize>row << 2));
  }
}

function columnBlocks(
  x: usize, tokens: i32, columns: i32, weight: usize, bits: i32, first: i32, end: i32, y: usize, yStride: usize,
): void {
  for (let row = first; row < end; row += 32) {
    const panel = weight + <usize>(row >> 5) * columns * (columnBytes(bits) + 2);
    for (let column = 0; column < columns; column += BLOCK) {
      const count = min(BLOCK, columns - column);
      for (let group = 0; group < 4; group++) {
        columnsAsFloats(panel, bits, columns, group, column, count, own);
        tokensTimesGroup(
          own, count, x + (<usize>column << 2), <usize>columns << 2, tokens,
          y + (<usize>row << 2) + (<usize>group << 5), yStride, column > 0,
        );
      }
    }
  }
}
