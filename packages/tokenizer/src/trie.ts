/** Tokens to build a trie of, in any order; token `n` is `bytes[offsets[n]]` up to `offsets[n+1]`. */
export interface TokenList {
  readonly bytes: Uint8Array;
  /** One more than there are tokens. */
  readonly offsets: Int32Array;
  /** The id of each token; at least 1. */
  readonly ids: Int32Array;
}

/** Up to here, an insertion sort beats a counting sort with its 257 counters. */
const SMALL = 32;

/**
 * A trie over bytes for greedy longest match. Node 0 is the root. Nodes are numbered level by
 * level, so the children of a node are consecutive, sorted by byte, and those of node `n` end
 * where those of `n + 1` begin.
 */
export class Trie {
  /** The byte that leads to each node. */
  readonly #byte: Uint8Array;
  /** The first child of each node, and one more: the number of nodes. */
  readonly #firstChild: Int32Array;
  /** The id of the token that ends at each node; 0 for none. */
  readonly #token: Int32Array;
  /** The node of each first byte; 0 for none. */
  readonly #nodeOfByte = new Int32Array(256);
  /** The node of each first two bytes, at `first * 256 + second`; 0 for none. */
  readonly #nodeOfPair = new Int32Array(65536);

  /**
   * Takes time in proportion to the bytes of the tokens, whatever they are.
   *
   * @param onDuplicate Called with the places in the list of two tokens of the same bytes.
   */
  constructor(tokens: TokenList, onDuplicate: (first: number, second: number) => never) {
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
        token[node] = ids[order[at]];
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

    this.#byte = byte.slice(0, nodes);
    this.#firstChild = firstChild.slice(0, nodes + 1);
    this.#token = token.slice(0, nodes);
    for (let node = firstChild[0]; node < firstChild[1]; node++) {
      this.#nodeOfByte[byte[node]] = node;
      for (let child = firstChild[node]; child < firstChild[node + 1]; child++) {
        this.#nodeOfPair[byte[node] * 256 + byte[child]] = child;
      }
    }
  }

  /**
   * Splits bytes into the ids of tokens, each the longest that the rest begins with.
   *
   * @param onMissing Called with the position where no token matches.
   */
  encode(bytes: Uint8Array, onMissing: (position: number) => never): Uint32Array {
    const byteOf = this.#byte;
    const firstChild = this.#firstChild;
    const tokenOf = this.#token;
    const nodeOfByte = this.#nodeOfByte;
    const nodeOfPair = this.#nodeOfPair;
    const length = bytes.length;
    let ids = new Uint32Array(Math.ceil(length / 3));
    let count = 0;

    for (let position = 0; position < length;) {
      const first = bytes[position];
      let next = position + 1;
      let id = tokenOf[nodeOfByte[first]];
      let end = next;
      let node = next < length ? nodeOfPair[first * 256 + bytes[next]] : 0;
      while (node !== 0) {
        next++;
        if (tokenOf[node] !== 0) {
          id = tokenOf[node];
          end = next;
        }
        if (next === length) break;
        // The child sought lies at most as far from the first as their bytes are apart.
        const low = firstChild[node];
        const high = firstChild[node + 1];
        if (low === high) break;
        const byte = bytes[next];
        const distance = byte - byteOf[low];
        if (distance < 0) break;
        let child = distance < high - low ? low + distance : high - 1;
        while (byteOf[child] > byte) child--;
        node = byteOf[child] === byte ? child : 0;
      }
      if (id === 0) onMissing(position);
      if (count === ids.length) {
        const longer = new Uint32Array(Math.min(length, count * 2));
        longer.set(ids);
        ids = longer;
      }
      ids[count++] = id;
      position = end;
    }
    return ids.slice(0, count);
  }
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
