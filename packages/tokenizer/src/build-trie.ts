import type { TokenList } from './token-list.ts';
import { Trie } from './trie.ts';

/** Up to here, an insertion sort beats a counting sort with its 257 counters. */
const SMALL = 32;

/**
 * Builds the trie of tokens, in time in proportion to their bytes, whatever they are.
 *
 * @param onDuplicate Called with the places in the list of two tokens of the same bytes.
 */
export function buildTrie(
  tokens: TokenList,
  onDuplicate: (first: number, second: number) => never,
): Trie {
  const { bytes, offsets, ids } = tokens;
  const count = ids.length;
  const most = offsets[count] + 1;
  const byte = new Uint8Array(most);
  const firstChild = new Int32Array(most + 1);
  const token = new Int32Array(most);
  // The tokens below node n are order[from[n]] up to order[to[n]].
  const from = new Int32Array(most);
  const to = new Int32Array(most);
  const order = new Int32Array(count);
  for (let n = 0; n < count; n++) order[n] = n;
  to[0] = count;

  const spare = new Int32Array(count);
  const counters = new Int32Array(258);
  let nodes = 1;
  let depth = 0;
  let nextLevel = 1;
  /** The next byte of a token plus one; 0 if the token ends at this depth. */
  const key = (n: number) =>
    offsets[n] + depth < offsets[n + 1] ? bytes[offsets[n] + depth] + 1 : 0;

  for (let node = 0; node < nodes; node++) {
    if (node === nextLevel) {
      depth++;
      nextLevel = nodes;
    }
    firstChild[node] = nodes;
    const low = from[node];
    const high = to[node];
    if (high - low > SMALL) countingSort(order, low, high, key, counters, spare);
    else if (high - low > 1) insertionSort(order, low, high, key);

    let at = low;
    if (at < high && key(order[at]) === 0) {
      token[node] = ids[order[at]] + 1;
      at++;
      if (at < high && key(order[at]) === 0) onDuplicate(order[low], order[at]);
    }
    while (at < high) {
      const next = key(order[at]);
      byte[nodes] = next - 1;
      from[nodes] = at;
      do at++;
      while (at < high && key(order[at]) === next);
      to[nodes] = at;
      nodes++;
    }
  }
  firstChild[nodes] = nodes;

  return new Trie({
    byte: byte.slice(0, nodes),
    firstChild: firstChild.slice(0, nodes + 1),
    token: token.slice(0, nodes),
  });
}

/** Sorts `order[low]` up to `high` by key, keeping the order of equals. */
function insertionSort(
  order: Int32Array,
  low: number,
  high: number,
  key: (n: number) => number,
): void {
  for (let at = low + 1; at < high; at++) {
    const moved = order[at];
    const movedKey = key(moved);
    let to = at;
    while (to > low && key(order[to - 1]) > movedKey) {
      order[to] = order[to - 1];
      to--;
    }
    order[to] = moved;
  }
}

/** As `insertionSort`, for many, with keys of 0 to 256. */
function countingSort(
  order: Int32Array,
  low: number,
  high: number,
  key: (n: number) => number,
  counters: Int32Array,
  spare: Int32Array,
): void {
  counters.fill(0);
  for (let at = low; at < high; at++) counters[key(order[at]) + 1]++;
  for (let k = 1; k < 258; k++) counters[k] += counters[k - 1];
  for (let at = low; at < high; at++) spare[counters[key(order[at])]++] = order[at];
  order.set(spare.subarray(0, high - low), low);
}
