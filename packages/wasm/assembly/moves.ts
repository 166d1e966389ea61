import { buffer, integer } from './arguments';
import { shareEnd, shareStart } from './team';
import { widen } from './weights';

/**
 * Runs of bytes from one tensor to another: slice, and each part of concat. Buffers are inputs, then y.
 * Scalars: runs, bytes of a run of y, then for each input its bytes in a run of y, its stride from run to
 * run, and where the first begins.
 */
export function moveRuns(buffers: usize, scalars: usize): void {
  const runs = integer(scalars, 0), target = integer(scalars, 1), inputs = integer(scalars, 2);
  const y = buffer(buffers, inputs);
  for (let run = shareStart(runs, 1); run < shareEnd(runs, 1); run++) {
    let to = y + <usize>run * target;
    for (let input = 0; input < inputs; input++) {
      const bytes = <usize>integer(scalars, 3 + 3 * input);
      const stride = <usize>integer(scalars, 4 + 3 * input);
      memory.copy(to, buffer(buffers, input) + <usize>integer(scalars, 5 + 3 * input) + <usize>run * stride, bytes);
      to += bytes;
    }
  }
}

const F32: i32 = 0;
const F16: i32 = 1;
const BF16: i32 = 2;
const Q8: i32 = 3;

/** gatherRows. Buffers: table, indexes, y. Scalars: rows of y, width, dtype, rows of the table. */
export function gatherRows(buffers: usize, scalars: usize): void {
  const count = integer(scalars, 0), width = integer(scalars, 1), dtype = integer(scalars, 2);
  const table = buffer(buffers, 0);
  for (let row = shareStart(count, 1); row < shareEnd(count, 1); row++) {
    const index = load<i32>(buffer(buffers, 1) + (<usize>row << 2));
    const y = buffer(buffers, 2) + ((<usize>row * width) << 2);
    if (index < 0) memory.fill(y, 0, <usize>width << 2);
    else if (dtype == F32) memory.copy(y, table + ((<usize>index * width) << 2), <usize>width << 2);
    else if (dtype == F16) widenRow<u16>(table + ((<usize>index * width) << 1), y, width);
    else if (dtype == BF16) widenRow<i16>(table + ((<usize>index * width) << 1), y, width);
    else widenPackedRow(table, dtype == Q8 ? 8 : 4, integer(scalars, 3), index, y, width);
  }
}

/** A row of a packed table of `rows` rows, its blocks along rows. */
function widenPackedRow(table: usize, bits: i32, rows: i32, row: i32, to: usize, width: i32): void {
  const scales = table + (<usize>rows * width * bits >> 3);
  const first = <usize>row * (width >> 5);
  for (let block = first; block < first + (width >> 5); block++) {
    const scale = widen<u16>(scales + (block << 1));
    for (let i: usize = 0; i < 32; i++) {
      let quant: i32;
      if (bits == 8) quant = load<i8>(table + (block << 5) + i);
      else {
        const byte = <i32>load<u8>(table + (block << 4) + (i & 15));
        quant = (i < 16 ? byte & 15 : byte >> 4) - 8;
      }
      store<f32>(to, scale * <f32>quant);
      to += 4;
    }
  }
}

function widenRow<T>(from: usize, to: usize, count: i32): void {
  for (let i: usize = 0; i < <usize>count; i++) {
    store<f32>(to + (i << 2), widen<T>(from + i * sizeof<T>()));
  }
}
