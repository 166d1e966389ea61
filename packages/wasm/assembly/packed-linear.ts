import { buffer, integer } from './arguments';
import { blockBytes } from './blocks';
import { squareRelu } from './linear';
import { columnsProduct } from './packed-columns';
import { bytesTimesRow, correctionsOf, nibblesTimesRow, tokensTimesPanel, widenPanel, widenRow } from './quantized';
import { shrinkRow } from './sixteen-bits';
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
  const rowBytes = <usize>columns << 1;
  for (let token: usize = 0; token < <usize>tokens; token++) {
    widenRow(quants + token * columns, columns, own + token * rowBytes);
  }
  const beside = own + <usize>tokens * rowBytes;
  if (tokens == 1) oneRow(scales, columns, weight, bits, first, end, beside, y);
  else rowsProduct(scales, tokens, columns, weight, bits, first, end, beside, y, yStride);
  if (becomes == SQUARED_RELU) squareRelu(y + (<usize>first << 2), yStride, tokens, end - first);
}

/**
 * Rows `first` to `end` of W x, x being 16-bit numbers in `own` with scales elsewhere.
 *
 * @param beside working memory for as many scales
 */
function oneRow(
  scales: usize, columns: i32, weight: usize, bits: i32, first: i32, end: i32, beside: usize, y: usize,
): void {
  if (bits == 4) correctionsOf(own, columns, beside);
  const panelBytes = <usize>(columns >> 5) * blockBytes(bits);
  // Panels from two halves at a time: both are read from one end to the other.
  const half = (end - first + 8) >> 4 << 3;
  let panel = weight + <usize>(first >> 3) * panelBytes, target = y + (<usize>first << 2);
  for (let row = first; row < first + half; row += 8) {
    // The last panel may be alone.
    const two = row + half < end;
    const other = two ? panel + <usize>(half >> 3) * panelBytes : panel;
    const otherTarget = two ? target + (<usize>half << 2) : target;
    if (bits == 8) bytesTimesRow(panel, other, own, scales, columns, target, otherTarget);
    else nibblesTimesRow(panel, other, own, scales, beside, columns, target, otherTarget);
    panel += panelBytes;
    target += 32;
  }
}

/**
 * Rows `first` to `end` of x Wᵀ, x being 16-bit numbers in `own` with scales elsewhere.
 *
 * @param beside working memory for a widened panel
 */
function rowsProduct(
  scales: usize, tokens: i32, columns: i32, weight: usize, bits: i32, first: i32, end: i32, beside: usize,
  y: usize, yStride: usize,
): void {
  const panelBytes = <usize>(columns >> 5) * blockBytes(bits);
  let panel = weight + (<usize>first >> 3) * panelBytes;
  let target = y + (<usize>first << 2);
  for (let row = first; row < end; row += 8) {
    widenPanel(panel, bits, columns, beside);
    tokensTimesPanel(beside, tokens, own, <usize>columns << 1, scales, <usize>columns >> 3, columns, 32, target, yStride, false);
    panel += panelBytes;
    target += 32;
  }
}

/**
 * Products of plain rows with packed weights; the rows are rounded to 16 bits. Buffers: x, weight, y. Scalars:
 * tokens, columns, rows, bits, what becomes of sums, whether blocks run along columns.
 */
export function packedLinear(buffers: usize, scalars: usize): void {
  const tokens = integer(scalars, 0), columns = integer(scalars, 1), rows = integer(scalars, 2), bits = integer(scalars, 3);
  const x = buffer(buffers, 0), weight = buffer(buffers, 1), y = buffer(buffers, 2);
  const yStride = <usize>rows << 2;
  const unit = integer(scalars, 5) ? 32 : 8;
  const first = shareStart(rows, unit), end = shareEnd(rows, unit);
  if (first == end) return;
  if (unit == 8) {
    const scales = own + (<usize>tokens * columns << 1);
    const all = tokens * columns;
    shrinkRow(x, all, own, scales);
    const beside = scales + (<usize>all >> 3);
    if (tokens == 1) oneRow(scales, columns, weight, bits, first, end, beside, y);
    else rowsProduct(scales, tokens, columns, weight, bits, first, end, beside, y, yStride);
  } else columnsProduct(x, tokens, columns, weight, bits, first, end, y, yStride);
  if (integer(scalars, 4) == SQUARED_RELU) squareRelu(y + (<usize>first << 2), yStride, tokens, end - first);
}
