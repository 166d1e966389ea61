import { columnBytes, GROUP, panelTimesColumns, widenColumns } from './columns';
import { correctionOf, tokensTimesPanel } from './quantized';
import { shrinkProducts } from './sixteen-bits';
import { own } from './team';
import { widen, widen4 } from './weights';

/** Columns that are widened at a time, whole groups, so that 8 rows of them stay in the first cache. */
const CHUNK: i32 = 512;

/** Rows `first` to `end`, both multiples of 32, of x Wᵀ for weights whose blocks run along columns. */
export function columnsProduct(
  x: usize, tokens: i32, columns: i32, weight: usize, bits: i32, first: i32, end: i32, y: usize, yStride: usize,
): void {
  if (!isSparse(x, tokens, columns)) denseTokens(x, tokens, columns, weight, bits, first, end, y, yStride);
  else if (bits == 8) sparseTokens(x, tokens, columns, weight, 8, first, end, y, yStride);
  else sparseTokens(x, tokens, columns, weight, 4, first, end, y, yStride);
}

/**
 * Whether it is less work to list what is not 0 than to take all: many rows share the widening of weights, few do
 * not. The bits are the same.
 */
function isSparse(x: usize, tokens: i32, columns: i32): bool {
  if (tokens <= 2) return true;
  // Up to three at the end are not looked at.
  const count = tokens * columns;
  let lanes = i32x4.splat(0);
  for (const end = x + (<usize>(count & ~3) << 2); x < end; x += 16) {
    lanes = i32x4.sub(lanes, f32x4.ne(v128.load(x), f32x4.splat(0)));
  }
  const taken =
    i32x4.extract_lane(lanes, 0) + i32x4.extract_lane(lanes, 1) + i32x4.extract_lane(lanes, 2) + i32x4.extract_lane(lanes, 3);
  return tokens <= 4 ? taken * 3 < count * 2 : taken * 5 < count * 2;
}

/** Groups of so many columns. */
// @ts-ignore: decorator
@inline
function groupsOf(columns: i32): usize {
  return <usize>((columns + GROUP - 1) / GROUP);
}

/** What is known of a group's columns that are not 0: how many they are, their elements of x, where their quants lie. */
const LIST_BYTES: usize = 4 + (GROUP << 3);

/** The same, taking only what is not 0. */
// @ts-ignore: decorator
@inline
function sparseTokens(
  x: usize, tokens: i32, columns: i32, weight: usize, bits: i32, first: i32, end: i32, y: usize, yStride: usize,
): void {
  const groups = groupsOf(columns);
  // For the group at hand its scales, products with them, and these in 16 bits; then the lists of all tokens.
  const halves = own, products = halves + (GROUP << 1), z = products + (GROUP << 2), lists = z + (GROUP << 1);
  let list = lists;
  for (let token: usize = 0; token < <usize>tokens; token++) {
    for (let group: usize = 0; group < groups; group++) {
      listColumns(x + (token * columns << 2), <i32>group * GROUP, columns, bits, list);
      list += LIST_BYTES;
    }
  }
  const shift: usize = bits == 8 ? 4 : 3;
  const panelBytes = <usize>columns * (columnBytes(bits) + 2);
  let panel = weight + <usize>(first >> 5) * panelBytes;
  for (let row = first; row < end; row += 32) {
    const stored = panel + <usize>columns * columnBytes(bits);
    let target = y + (<usize>row << 2);
    list = lists;
    for (let token = 0; token < tokens; token++) {
      memory.fill(target, 0, 128);
      for (let group: usize = 0; group < groups; group++) {
        const count = load<i32>(list), values = list + 4, places = values + (GROUP << 2);
        for (let i: usize = 0; i < <usize>count; i++) {
          store<u16>(halves + (i << 1), load<u16>(stored + (load<u32>(places + (i << 2)) >> shift)));
        }
        const scale = shrinkProducts<u16>(values, halves, (count + 7) & ~7, products, z);
        const correction = bits == 4 ? correctionOf(z, (count + 7) & ~7) : 0;
        panelTimesColumns(panel, bits, places, (count + 1) & ~1, z, scale, correction, target);
        list += LIST_BYTES;
      }
      target += yStride;
    }
    panel += panelBytes;
  }
}

/** Lists the columns of a group whose elements of x are not 0; up to a multiple of 8 others follow, which meet 0. */
function listColumns(x: usize, first: i32, columns: i32, bits: i32, list: usize): void {
  const values = list + 4, places = values + (GROUP << 2);
  let taken: usize = 0;
  const end = <usize>min(columns, first + GROUP);
  for (let i = <usize>first; i < end; i++) {
    // Written in any case, and kept when it is not 0: a branch here would be guessed wrong often.
    const value = load<f32>(x + (i << 2));
    store<f32>(values + (taken << 2), value);
    store<u32>(places + (taken << 2), <u32>(i * columnBytes(bits)));
    taken += <usize>i32(value != 0);
  }
  store<i32>(list, <i32>taken);
  for (let i = taken; (i & 7) != 0; i++) {
    store<f32>(values + (i << 2), 0);
    store<u32>(places + (i << 2), 0);
  }
}

/** The same, taking everything. */
function denseTokens(
  x: usize, tokens: i32, columns: i32, weight: usize, bits: i32, first: i32, end: i32, y: usize, yStride: usize,
): void {
  const most = (columns + 31) & ~31;
  const rowBytes = <usize>most << 2, zBytes = <usize>CHUNK << 1, groups = <usize>CHUNK / GROUP;
  // The scales of a panel as f32; for a chunk of columns z of all tokens and its scales, and 8 rows of the
  // panel; then rows of x that end with zeros, where they need them.
  const factors = own, products = factors + rowBytes, z = products + (GROUP << 2);
  const scales = z + <usize>tokens * zBytes, wide = scales + (<usize>tokens * groups << 2);
  let from = x;
  if (columns < most) {
    from = wide + (<usize>CHUNK << 4) + (groups << 5);
    for (let token: usize = 0; token < <usize>tokens; token++) {
      memory.fill(from + token * rowBytes, 0, rowBytes);
      memory.copy(from + token * rowBytes, x + (token * columns << 2), <usize>columns << 2);
    }
  }
  const panelBytes = <usize>columns * (columnBytes(bits) + 2);
  let panel = weight + <usize>(first >> 5) * panelBytes;
  for (let row = first; row < end; row += 32) {
    widenScales(panel + <usize>columns * columnBytes(bits), columns, most, factors);
    for (let column = 0; column < most; column += CHUNK) {
      const count = min(CHUNK, most - column);
      for (let token: usize = 0; token < <usize>tokens; token++) {
        for (let i = 0; i < count; i += GROUP) {
          const at = <usize>(column + i) << 2;
          const scale = shrinkProducts<f32>(
            from + token * rowBytes + at, factors + at, min(GROUP, count - i), products, z + token * zBytes + (<usize>i << 1),
          );
          store<f32>(scales + ((token * groups + i / GROUP) << 2), scale);
        }
      }
      for (let eighth = 0; eighth < 4; eighth++) {
        widenColumns(panel, bits, columns, eighth, column, count, wide);
        tokensTimesPanel(
          wide, tokens, z, zBytes, scales, groups << 2, count, GROUP,
          y + (<usize>row << 2) + (<usize>eighth << 5), yStride, column > 0,
        );
      }
    }
    panel += panelBytes;
  }
}

/** f16 numbers as f32, up to `most` of them with zeros behind. */
function widenScales(halves: usize, count: i32, most: i32, to: usize): void {
  memory.fill(to + (<usize>(count & ~3) << 2), 0, <usize>(most - (count & ~3)) << 2);
  for (let i = 0; i + 4 <= count; i += 4) v128.store(to + (<usize>i << 2), widen4<u16>(halves + (<usize>i << 1)));
  for (let i = count & ~3; i < count; i++) store<f32>(to + (<usize>i << 2), widen<u16>(halves + (<usize>i << 1)));
}
