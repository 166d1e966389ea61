/** The nodes of a {@link Trie}; node 0 is the root. */
export interface TrieNodes {
  /** The byte that leads to each node. */
  readonly byte: Uint8Array;
  /** The first child of each node, and one more: the number of nodes. */
  readonly firstChild: Int32Array;
  /** One more than the id of the token that ends at each node; 0 for none. */
  readonly token: Int32Array;
}

/**
 * A trie over bytes for greedy longest match. Nodes are numbered level by level, so the children of a
 * node are consecutive, sorted by byte, and those of node `n` end where those of `n + 1` begin.
 */
export class Trie {
  readonly nodes: TrieNodes;
  /** The node of each first byte; 0 for none. */
  readonly #nodeOfByte = new Int32Array(256);
  /** The node of each first two bytes, at `first * 256 + second`; 0 for none. */
  readonly #nodeOfPair = new Int32Array(65536);

  constructor(nodes: TrieNodes) {
    this.nodes = nodes;
    const { byte, firstChild } = nodes;
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
    const { byte: byteOf, firstChild, token: tokenOf } = this.nodes;
    const nodeOfByte = this.#nodeOfByte;
    const nodeOfPair = this.#nodeOfPair;
    const length = bytes.length;
    let ids = new Uint32Array(Math.ceil(length / 3));
    let count = 0;

    for (let position = 0; position < length;) {
      const first = bytes[position];
      let next = position + 1;
      let idPlusOne = tokenOf[nodeOfByte[first]];
      let end = next;
      let node = next < length ? nodeOfPair[first * 256 + bytes[next]] : 0;
      while (node !== 0) {
        next++;
        if (tokenOf[node] !== 0) {
          idPlusOne = tokenOf[node];
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
      if (idPlusOne === 0) onMissing(position);
      if (count === ids.length) {
        const longer = new Uint32Array(Math.min(length, count * 2));
        longer.set(ids);
        ids = longer;
      }
      ids[count++] = idPlusOne - 1;
      position = end;
    }
    return ids.slice(0, count);
  }
}
