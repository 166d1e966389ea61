import type { MergeTable } from './merge-table.ts';

/** Ranks are above, places below: numbers stay exact, and one comparison orders both. */
const PLACES = 2 ** 32;

/** Up to here, looking at all pairs again and again beats the heap. */
const SHORT = 32;
const NONE = 0x7fffffff;
const ranks = new Int32Array(SHORT);

/**
 * Merges the first `count` tokens in place, and returns how many are left: always the pair of the
 * lowest rank, of equals the leftmost, until none merges. It takes n log n for n tokens.
 */
export function mergeWord(tokens: Int32Array, count: number, merges: MergeTable): number {
  return count > SHORT ? mergeLong(tokens, count, merges) : mergeShort(tokens, count, merges);
}

function mergeShort(tokens: Int32Array, count: number, merges: MergeTable): number {
  const rankAt = (at: number) => {
    const rank = merges.rank(tokens[at], tokens[at + 1]);
    return rank < 0 ? NONE : rank;
  };
  for (let at = 0; at + 1 < count; at++) ranks[at] = rankAt(at);
  for (;;) {
    let best = -1;
    let lowest = NONE;
    for (let at = 0; at + 1 < count; at++) {
      if (ranks[at] < lowest) {
        lowest = ranks[at];
        best = at;
      }
    }
    if (best < 0) return count;
    tokens[best] = merges.result(tokens[best], tokens[best + 1]);
    count--;
    for (let at = best + 1; at < count; at++) {
      tokens[at] = tokens[at + 1];
      ranks[at] = ranks[at + 1];
    }
    if (best > 0) ranks[best - 1] = rankAt(best - 1);
    if (best + 1 < count) ranks[best] = rankAt(best);
  }
}

/** Pairs wait in a heap. */
function mergeLong(tokens: Int32Array, count: number, merges: MergeTable): number {
  const heap: number[] = [];
  for (let at = 0; at + 1 < count; at++) {
    const rank = merges.rank(tokens[at], tokens[at + 1]);
    if (rank >= 0) push(heap, rank * PLACES + at);
  }
  if (heap.length === 0) return count;

  const next = new Int32Array(count);
  const before = new Int32Array(count);
  for (let at = 0; at < count; at++) {
    next[at] = at + 1;
    before[at] = at - 1;
  }
  const offer = (left: number, right: number) => {
    const rank = merges.rank(tokens[left], tokens[right]);
    if (rank >= 0) push(heap, rank * PLACES + left);
  };
  while (heap.length > 0) {
    const lowest = pop(heap);
    const at = lowest % PLACES;
    const right = next[at];
    // A pair that waits is out of date when one of its tokens has merged with another since.
    if (tokens[at] < 0 || right >= count) continue;
    if (merges.rank(tokens[at], tokens[right]) * PLACES !== lowest - at) continue;
    tokens[at] = merges.result(tokens[at], tokens[right]);
    tokens[right] = -1;
    const after = next[right];
    next[at] = after;
    if (after < count) {
      before[after] = at;
      offer(at, after);
    }
    if (before[at] >= 0) offer(before[at], at);
  }
  let left = 0;
  for (let at = 0; at < count; at = next[at]) tokens[left++] = tokens[at];
  return left;
}

function push(heap: number[], value: number): void {
  let at = heap.length;
  heap.push(value);
  while (at > 0) {
    const parent = (at - 1) >> 1;
    if (heap[parent] <= value) break;
    heap[at] = heap[parent];
    at = parent;
  }
  heap[at] = value;
}

function pop(heap: number[]): number {
  const lowest = heap[0];
  const value = heap.pop()!;
  const length = heap.length;
  if (length === 0) return lowest;
  let at = 0;
  for (;;) {
    let child = at * 2 + 1;
    if (child >= length) break;
    if (child + 1 < length && heap[child + 1] < heap[child]) child++;
    if (heap[child] >= value) break;
    heap[at] = heap[child];
    at = child;
  }
  heap[at] = value;
  return lowest;
}
