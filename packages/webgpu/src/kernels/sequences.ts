import type { Argument } from '../argument.ts';
import { wgsl } from '../wgsl.ts';

/**
 * An element of `offsets`, at most the number of rows: whatever the numbers are, nobody reads or writes past the rows.
 * A sequence that ends before it begins, which no caller gives, is empty to those who walk from one to the other.
 */
export function offsetAt(offsets: Argument, place: string, tokens: number): string {
  // A negative number is a large one without its sign.
  return `min(u32(${offsets.at(place)}), ${tokens}u)`;
}

/** `fn slot_of(t: u32) -> u32`: the slot whose sequence a row belongs to; `slots` for padding rows. */
export function findSlot(offsets: Argument, slots: number): string {
  // Empty sequences begin where the next one does: the slot is the last that begins at or before t.
  return wgsl`
fn slot_of(t: u32) -> u32 {
  if (t >= u32(${offsets.at(`${slots}u`)})) { return ${slots}u; }
  var low = 0u;
  var high = ${slots}u;
  while (high - low > 1u) {
    let middle = (low + high) / 2u;
    if (u32(${offsets.at('middle')}) <= t) { low = middle; } else { high = middle; }
  }
  return low;
}`;
}
