import { adler32 } from './adler32.ts';
import { buildTrie } from './build-trie.ts';
import { FormatError } from './errors.ts';
import { LARGEST_ID, LONGEST_TOKEN, listTokens } from './token-list.ts';
import type { TokenTable } from './table-tokenizer.ts';
import { Trie, type TrieNodes } from './trie.ts';
import { WorldTokenizer } from './world-tokenizer.ts';

/** The first byte is no text in any encoding; the others say what it is to whoever looks. */
const MAGIC = Uint8Array.of(0x9b, 0x52, 0x57, 0x4b, 0x56, 0x56, 0x4f, 0x43); // 9b R W K V V O C
const VERSION = 1;
const HEADER = 24;
/** This many children, or more, are written in the bytes that follow. */
const MANY = 127;

/**
 * Packs a vocabulary so that it loads in milliseconds: the trie that encoding needs, as it stands in
 * memory but for what follows from the rest. All numbers are little-endian:
 *
 * | offset | bytes |                                                                            |
 * | ------ | ----- | -------------------------------------------------------------------------- |
 * | 0      | 8     | magic: 9b, then `RWKVVOC` in ASCII                                         |
 * | 8      | 4     | version, 1                                                                 |
 * | 12     | 4     | n, the number of nodes, with the root                                      |
 * | 16     | 4     | t, the number of tokens                                                    |
 * | 20     | 4     | Adler-32 of all that follows                                               |
 * | 24     | n − 1 | the byte that leads to each node but the root                              |
 * |        |       | n counts: children × 2, plus 1 if a token ends at the node                 |
 * |        |       | t ids: how far each is from the one before, plus one, in zigzag            |
 *
 * Nodes are in the order of the trie: level by level, in a level by the bytes that lead to them. A
 * count is one byte where there are fewer than 127 children; else the byte is 254 or 255 and a byte
 * with the children less one follows. An id is a varint (7 bits a byte, low bits first, bit 7 set in
 * all but the last) of the zigzag of id − (id before + 1), where −1 comes before the first node's. In the
 * World vocabulary, whose ids are in just this order, they are all 0 but the first.
 */
export function packVocabulary(tokenizer: WorldTokenizer): Uint8Array<ArrayBuffer> {
  // Built anew, so that the order of the nodes is this function's own affair.
  const tokens = Array.from({ length: tokenizer.vocabularySize }, (_, id) => ({
    id,
    bytes: tokenizer.tokenBytes(id),
  })).filter(({ bytes }) => bytes.length > 0);
  const { nodes } = buildTrie(listTokens(tokens), () => {
    throw new Error('a tokenizer has no two tokens of the same bytes');
  });
  const count = nodes.byte.length;
  const body: number[] = [];
  for (let node = 0; node < count; node++) {
    const children = nodes.firstChild[node + 1] - nodes.firstChild[node];
    const ends = nodes.token[node] > 0 ? 1 : 0;
    body.push(Math.min(children, MANY) * 2 + ends);
    if (children >= MANY) body.push(children - 1);
  }
  let before = -1;
  for (let node = 0; node < count; node++) {
    if (nodes.token[node] === 0) continue;
    const id = nodes.token[node] - 1;
    const step = id - (before + 1);
    let zigzag = step < 0 ? -step * 2 - 1 : step * 2;
    for (; zigzag > 0x7f; zigzag >>>= 7) body.push((zigzag & 0x7f) | 0x80);
    body.push(zigzag);
    before = id;
  }
  const file = new Uint8Array(HEADER + count - 1 + body.length);
  const header = new DataView(file.buffer);
  file.set(MAGIC);
  file.set(nodes.byte.subarray(1), HEADER);
  file.set(body, HEADER + count - 1);
  header.setUint32(8, VERSION, true);
  header.setUint32(12, count, true);
  header.setUint32(16, tokens.length, true);
  header.setUint32(20, adler32(file.subarray(HEADER)), true);
  return file;
}

/** Whether a file begins like a packed vocabulary. */
export function isPackedVocabulary(file: Uint8Array): boolean {
  return MAGIC.every((byte, at) => file[at] === byte);
}

/**
 * The tokenizer of a packed vocabulary; the format is that of {@link packVocabulary}.
 *
 * @param label What messages call it: a file name or an address.
 * @throws FormatError for a file that is damaged, cut, or of another version.
 */
export function unpackVocabulary(file: Uint8Array, label: string): WorldTokenizer {
  const fail = (found: string, expected: string): never => {
    throw new FormatError(
      `Reading the packed vocabulary ${label}: found ${found}, expected ${expected}; pack the ` +
        `vocabulary anew or use an unchanged copy.`,
    );
  };
  if (!isPackedVocabulary(file)) fail('another beginning', 'that of a packed vocabulary');
  if (file.length < HEADER) fail(`${file.length} bytes`, `a header of ${HEADER} bytes`);
  const header = new DataView(file.buffer, file.byteOffset, HEADER);
  const version = header.getUint32(8, true);
  if (version !== VERSION) fail(`version ${version}`, `version ${VERSION}`);
  const count = header.getUint32(12, true);
  const tokens = header.getUint32(16, true);
  const rest = file.length - HEADER;
  if (count < 2 || tokens < 1 || tokens >= count || count - 1 + count + tokens > rest) {
    fail(
      `${count} nodes and ${tokens} tokens in ${rest} bytes`,
      'a file that is as long as it says',
    );
  }
  if (adler32(file.subarray(HEADER)) !== header.getUint32(20, true)) {
    fail('bytes of another checksum', 'those that were written');
  }
  const shape = readShape(file, count, tokens, fail);
  const { token, table } = readTokens(file, shape, fail);
  return new WorldTokenizer(label, table, new Trie({ ...shape, token }));
}

type Fail = (found: string, expected: string) => never;

/** The nodes without their tokens, and what reading the tokens needs. */
interface Shape extends Omit<TrieNodes, 'token'> {
  readonly parent: Int32Array;
  /** How many bytes lead to each node. */
  readonly depth: Uint16Array;
  /** The nodes at which tokens end, in order. */
  readonly ends: Int32Array;
  /** Bytes of all tokens together. */
  readonly total: number;
  /** Where the ids are in the file. */
  readonly at: number;
}

function readShape(file: Uint8Array, count: number, tokens: number, fail: Fail): Shape {
  const byte = new Uint8Array(count);
  byte.set(file.subarray(HEADER, HEADER + count - 1), 1);
  const firstChild = new Int32Array(count + 1);
  const parent = new Int32Array(count);
  const depth = new Uint16Array(count);
  const ends = new Int32Array(tokens);
  let at = HEADER + count - 1;
  let child = 1;
  let ending = 0;
  let total = 0;
  for (let node = 0; node < count; node++) {
    const packed = file[at++];
    const children = packed >> 1 === MANY ? file[at++] + 1 : packed >> 1;
    if ((packed & 1) === 1) {
      if (node === 0 || ending === tokens) fail('another token', `${tokens} tokens of some bytes`);
      ends[ending++] = node;
      total += depth[node];
    } else if (children === 0) {
      fail(`node ${node} without a token`, 'a token at the end of every branch');
    }
    firstChild[node] = child;
    const end = child + children;
    // A node must come after its parent, or depths would not be known.
    if (end > count || (end === node + 1 && end < count)) {
      fail(`${children} children of node ${node}`, 'as many as there are nodes');
    }
    for (let before = -1; child < end; child++) {
      if (byte[child] <= before) fail(`child ${child} of node ${node}`, 'children in order');
      before = byte[child];
      parent[child] = node;
      depth[child] = depth[node] + 1;
    }
    if (depth[node] > LONGEST_TOKEN) {
      fail('a longer token', `tokens of at most ${LONGEST_TOKEN} bytes`);
    }
  }
  firstChild[count] = child;
  if (child !== count || ending !== tokens) {
    fail(`${child} nodes and ${ending} tokens`, `${count} and ${tokens}`);
  }
  return { byte, firstChild, parent, depth, ends, total, at };
}

function readTokens(
  file: Uint8Array,
  { byte, parent, depth, ends: nodes, total, at }: Shape,
  fail: Fail,
): { readonly token: Int32Array; readonly table: TokenTable } {
  const token = new Int32Array(byte.length);
  const bytes = new Uint8Array(total);
  // By place in the list; the table by id is as long as the largest id, known only at the end.
  const ids = new Int32Array(nodes.length);
  const starts = new Int32Array(nodes.length);
  /** One more than the place in the list of the token that ends at each node. */
  const place = new Int32Array(byte.length);
  let size = 1;
  let before = -1;
  let written = 0;
  for (let n = 0; n < nodes.length; n++) {
    let zigzag = file[at] & 0x7f;
    for (let shift = 7; file[at++] > 0x7f; shift += 7) zigzag += (file[at] & 0x7f) * 2 ** shift;
    const id = before + 1 + (zigzag % 2 === 1 ? -(zigzag + 1) / 2 : zigzag / 2);
    if (!(id >= 0 && id <= LARGEST_ID)) fail(`the id ${id}`, `an id from 0 to ${LARGEST_ID}`);
    const node = nodes[n];
    ids[n] = id;
    starts[n] = written;
    place[node] = n + 1;
    token[node] = id + 1;
    before = id;
    if (id >= size) size = id + 1;
    // The bytes on the way from the nearest token above, then those of that token.
    const end = written + depth[node];
    let to = end;
    let up = node;
    do {
      bytes[--to] = byte[up];
      up = parent[up];
    } while (place[up] === 0 && up !== 0);
    for (let from = starts[place[up] - 1] + depth[up]; to > written;) {
      bytes[--to] = bytes[--from];
    }
    written = end;
  }
  if (at !== file.length) fail(`${file.length} bytes`, `the end after ${at}`);
  const table = { bytes, starts: new Int32Array(size), ends: new Int32Array(size) };
  for (let n = 0; n < nodes.length; n++) {
    const id = ids[n];
    if (table.ends[id] !== 0) fail(`the id ${id} again`, 'an id that is new');
    table.starts[id] = starts[n];
    table.ends[id] = starts[n] + depth[nodes[n]];
  }
  return { token, table };
}
