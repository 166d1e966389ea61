import { columnBytes, panelTimesColumns, widenColumns } from './columns';
import { correctionsOf, tokensTimesPanel } from './quantized';
import { shrinkHalves, shrinkRow, times } from './sixteen-bits';
import { own } from './team';

/** Columns that are widened at a time, so that 8 rows of them stay in the first cache. */
const CHUNK: i32 = 512;

/** Rows `first` to `end`, both multiples of 32, of x Wᵀ for weights whose blocks run along columns. */
export function columnsProduct(
  x: usize, tokens: i32, columns: i32, weight: usize, bits: i32, first: i32, end: i32, y: usize, yStride: usize,
): void {
  if (tokens == 1) oneToken(x, columns, weight, bits, first, end, y);
  else manyTokens(x, tokens, columns, weight, bits, first, end, y, yStride);
}

/** The same for one row of x, of which only what is not 0 is taken. */
function oneToken(x: usize, columns: i32, weight: usize, bits: i32, first: i32, end: i32, y: usize): void {
  const most = <usize>(columns + 31) & ~31;
  // For each column that is taken: its element of x, where its quants lie, its scale; x and scales in 16 bits.
  const values = own, places = values + (most << 2), halves = places + (most << 2);
  const a = halves + (most << 1), b = a + (most << 1), z = b + (most << 1);
  const scales = z + (most << 1), others = scales + (most >> 3), corrections = others + (most >> 3);
  let taken: usize = 0;
  for (let i: usize = 0; i < <usize>columns; i++) {
    // Written in any case, and kept when it is not 0: a branch here would be guessed wrong often.
    const value = load<f32>(x + (i << 2));
    store<f32>(values + (taken << 2), value);
    store<u32>(places + (taken << 2), <u32>(i * columnBytes(bits)));
    taken += <usize>i32(value != 0);
  }
  const count = <i32>((taken + 31) & ~31);
  for (; taken < <usize>count; taken++) {
    store<f32>(values + (taken << 2), 0);
    store<u32>(places + (taken << 2), 0);
  }
  shrinkRow(values, count, a, scales);
  const shift: usize = bits == 8 ? 4 : 3;
  const panelBytes = <usize>columns * (columnBytes(bits) + 2);
  let panel = weight + <usize>(first >> 5) * panelBytes;
  for (let row = first; row < end; row += 32) {
    const stored = panel + <usize>columns * columnBytes(bits);
    for (let i: usize = 0; i < <usize>count; i++) {
      store<u16>(halves + (i << 1), load<u16>(stored + (load<u32>(places + (i << 2)) >> shift)));
    }
    shrinkHalves(halves, count, b, others);
    times(a, b, count, z);
    if (bits == 4) correctionsOf(z, count, corrections);
    const target = y + (<usize>row << 2);
    memory.fill(target, 0, 128);
    if (bits == 8) panelTimesColumns(panel, 8, places, count, z, scales, others, corrections, target);
    else panelTimesColumns(panel, 4, places, count, z, scales, others, corrections, target);
    panel += panelBytes;
  }
}

function manyTokens(
  x: usize, tokens: i32, columns: i32, weight: usize, bits: i32, first: i32, end: i32, y: usize, yStride: usize,
): void {
  const whole = columns & ~31, most = (columns + 31) & ~31;
  const rowBytes = <usize>most << 1, scaleBytes = <usize>most >> 3;
  // All rows of x in 16 bits, which every panel meets; of the panel at hand its scales in 16 bits.
  const rows = own, scales = rows + <usize>tokens * rowBytes;
  const factors = scales + <usize>tokens * scaleBytes, others = factors + rowBytes;
  const z = others + scaleBytes, wide = z + (<usize>tokens * CHUNK << 1);
  for (let token: usize = 0; token < <usize>tokens; token++) {
    const from = x + (token * columns << 2), to = rows + token * rowBytes;
    shrinkRow(from, whole, to, scales + token * scaleBytes);
    if (whole < most) {
      const rest = <usize>(columns - whole) << 2;
      memory.fill(z, 0, 128);
      memory.copy(z, from + (<usize>whole << 2), rest);
      shrinkRow(z, 32, to + (<usize>whole << 1), scales + token * scaleBytes + (<usize>whole >> 3));
    }
  }
  const panelBytes = <usize>columns * (columnBytes(bits) + 2);
  let panel = weight + <usize>(first >> 5) * panelBytes;
  for (let row = first; row < end; row += 32) {
    const stored = panel + <usize>columns * columnBytes(bits);
    shrinkHalves(stored, whole, factors, others);
    if (whole < most) {
      memory.fill(z, 0, 64);
      memory.copy(z, stored + (<usize>whole << 1), <usize>(columns - whole) << 1);
      shrinkHalves(z, 32, factors + (<usize>whole << 1), others + (<usize>whole >> 3));
    }
    for (let column = 0; column < most; column += CHUNK) {
      const count = min(CHUNK, most - column);
      const place = <usize>column << 1, block = <usize>column >> 3, zBytes = <usize>count << 1;
      for (let token: usize = 0; token < <usize>tokens; token++) {
        times(rows + token * rowBytes + place, factors + place, count, z + token * zBytes);
      }
      for (let group = 0; group < 4; group++) {
        widenColumns(panel, bits, columns, group, column, count, others + block, wide);
        tokensTimesPanel(
          wide, tokens, z, zBytes, scales + block, scaleBytes, count,
          y + (<usize>row << 2) + (<usize>group << 5), yStride, column > 0,
        );
      }
    }
    panel += panelBytes;
  }
}
