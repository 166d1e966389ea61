import { shareEnd, shareStart } from './team';
import { sequenceStart } from './time';

/**
 * Recurrences over heads are shared out as pairs of a sequence that has tokens and a head. The pairs of this
 * worker are `firstPair` to `endPair`; sequences without tokens are none.
 */
export function activeSequences(offsets: usize, slots: i32): i32 {
  let count = 0;
  for (let slot = 0; slot < slots; slot++) {
    if (sequenceStart(offsets, slot) < sequenceStart(offsets, slot + 1)) count++;
  }
  return count;
}

/** The first head of a slot's that is this worker's; the slot is the `active`-th one with tokens. */
export function firstHead(active: i32, all: i32, heads: i32): i32 {
  return min(max(shareStart(all * heads, 1) - active * heads, 0), heads);
}

/** The head after the last. */
export function endHead(active: i32, all: i32, heads: i32): i32 {
  return min(max(shareEnd(all * heads, 1) - active * heads, 0), heads);
}

/** Brings this worker's share of a state to where the new one is made, unless it is made in place. */
export function carryState(from: usize, to: usize, count: i32): void {
  if (from == to) return;
  const first = <usize>shareStart(count, 16) << 2;
  memory.copy(to + first, from + first, (<usize>shareEnd(count, 16) << 2) - first);
}

/** Zeroes this worker's share of the rows from `token` on. */
export function clearRows(y: usize, token: i32, tokens: i32, width: i32): void {
  for (let row = token + shareStart(tokens - token, 1); row < token + shareEnd(tokens - token, 1); row++) {
    memory.fill(y + ((<usize>row * width) << 2), 0, <usize>width << 2);
  }
}
