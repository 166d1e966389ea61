import type { Argument } from '../argument.ts';
import { wgsl } from '../wgsl.ts';

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
