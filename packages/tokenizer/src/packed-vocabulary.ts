import { buildTrie } from './build-trie.ts';
import { FormatError } from './errors.ts';
import type { TokenTable } from './table-tokenizer.ts';
import { LARGEST_ID, LONGEST_TOKEN, listTokens } from './token-list.ts';
import { Trie, type TrieNodes } from './trie.ts';
import { wordChecksum } from './word-checksum.ts';
import { WorldTokenizer } from './world-tokenizer.ts';

/** The first byte is no text in any encoding; the others say what it is to whoever looks. */
const MAGIC = Uint8Array.of(0x9b, 0x52, 0x57, 0x4b, 0x56, 0x56, 0x4f, 0x43); // 9b R W K V V O C
const VERSION = 1;
const HEADER = 28;
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
 * | 20     | 4     | r, the number of runs of ids                                               |
 * | 24     | 4     | checksum of all that follows: FNV-1a over words of 32 bits                 |
 * | 28     |       | r runs: the first id and the number of ids, each a varint                  |
 * |        | n − 1 | the byte that leads to each node but the root                              |
 * |        |       | n counts: children × 2, plus 1 if a token ends at the node                 |
 *
 * Nodes are in the order of the trie: level by level, in a level by the bytes that lead to them. The
 * tokens have ids in the order of the nodes at which they end; a run is of ids that go up by one. The
 * World vocabulary, whose ids are in just this order, is a single run. A varint has 7 bits a byte,
 * low bits first, bit 7 set in all but the last. A count is one byte where there are fewer than 127
 * children; else the byte is 254 or 255 and a byte with the children less one follows.
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
  const counts: number[] = [];
  const runs: { first: number; length: number }[] = [];
  for (let node = 0; node < count; node++) {
    const children = nodes.firstChild[node + 1] - nodes.firstChild[node];
    const ends = nodes.token[node] > 0 ? 1 : 0;
    counts.push(Math.min(children, MANY) * 2 + ends);
    if (children >= MANY) counts.push(children - 1);
    if (ends === 0) continue;
    const id = nodes.token[node] - 1;
    const run = runs.at(-1);
    if (run !== undefined && id === run.first + run.length) run.length++;
    else runs.push({ first: id, length: 1 });
  }
  const varints = runs.flatMap(({ first, length }) => [...varint(first), ...varint(length)]);
  const file = new Uint8Array(HEADER + varints.length + count - 1 + counts.length);
  const header = new DataView(file.buffer);
  file.set(MAGIC);
  file.set(varints, HEADER);
  file.set(nodes.byte.subarray(1), HEADER + varints.length);
  file.set(counts, HEADER + varints.length + count - 1);
  header.setUint32(8, VERSION, true);
  header.setUint32(12, count, true);
  header.setUint32(16, tokens.length, true);
  header.setUint32(20, runs.length, true);
  header.setUint32(24, wordChecksum(file.subarray(HEADER)), true);
  return file;
}

function varint(value: number): number[] {
  const bytes: number[] = [];
  for (; value > 0x7f; value >>>= 7) bytes.push((value & 0x7f) | 0x80);
  return [...bytes, value];
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
  const runs = header.getUint32(20, true);
  const rest = file.length - HEADER;
  const counted = count >= 2 && tokens >= 1 && tokens < count && runs >= 1 && runs <= tokens;
  if (!counted || runs * 2 + count - 1 + count > rest) {
    fail(
      `${count} nodes, ${tokens} tokens and ${runs} runs of ids in ${rest} bytes`,
      'a file that is as long as it says',
    );
  }
  if (wordChecksum(file.subarray(HEADER)) !== header.getUint32(24, true)) {
    fail('bytes of another checksum', 'those that were written');
  }
  const ids = readRuns(file, runs, tokens, fail);
  const nodes = readNodes(file, ids, { count, tokens }, fail);
  return new WorldTokenizer(label, ids.size, () => tableOf(nodes, ids.size), new Trie(nodes));
}

type Fail = (found: string, expected: string) => never;

interface IdRuns {
  readonly firsts: readonly number[];
  readonly lengths: readonly number[];
  /** One more than the largest id. */
  readonly size: number;
  /** Where in the file they end. */
  readonly end: number;
}

function readRuns(file: Uint8Array, runs: number, tokens: number, fail: Fail): IdRuns {
  let at = HEADER;
  const read = (): number => {
    let value = file[at] & 0x7f;
    for (let shift = 7; file[at++] > 0x7f; shift += 7) value += (file[at] & 0x7f) * 2 ** shift;
    return value;
  };
  const firsts: number[] = [];
  const lengths: number[] = [];
  let total = 0;
  for (let run = 0; run < runs; run++) {
    const first = read();
    const length = read();
    if (!(length >= 1 && first + length - 1 <= LARGEST_ID)) {
      fail(`${length} ids from ${first}`, `ids from 0 to ${LARGEST_ID}`);
    }
    firsts.push(first);
    lengths.push(length);
    total += length;
  }
  if (total !== tokens) fail(`${total} ids`, `one for each of ${tokens} tokens`);
  const order = firsts.map((_, run) => run).sort((a, b) => firsts[a] - firsts[b]);
  let size = 0;
  for (const run of order) {
    if (firsts[run] < size) fail(`the id ${firsts[run]} again`, 'an id that is new');
    size = firsts[run] + lengths[run];
  }
  return { firsts, lengths, size, end: at };
}

function readNodes(
  file: Uint8Array,
  { firsts, lengths, end: start }: IdRuns,
  { count, tokens }: { readonly count: number; readonly tokens: number },
  fail: Fail,
): TrieNodes {
  if (start + count - 1 + count > file.length) {
    fail(`${file.length} bytes`, `${count} nodes after byte ${start}`);
  }
  const byte = new Uint8Array(count);
  byte.set(file.subarray(start, start + count - 1), 1);
  const firstChild = new Int32Array(count + 1);
  const token = new Int32Array(count);
  let at = start + count - 1;
  let child = 1;
  let ending = 0;
  let run = 0;
  /** One more than the next token's id, and than the last id of its run. */
  let id = firsts[0] + 1;
  let last = firsts[0] + lengths[0];
  /** Where the nodes end that as many bytes lead to as to this one. */
  let levelEnd = 1;
  let depth = 0;
  for (let node = 0; node < count; node++) {
    if (node === levelEnd) {
      levelEnd = child;
      if (++depth > LONGEST_TOKEN) {
        fail('a longer token', `tokens of at most ${LONGEST_TOKEN} bytes`);
      }
    }
    const packed = file[at++];
    const children = packed >> 1 === MANY ? file[at++] + 1 : packed >> 1;
    if ((packed & 1) === 1) {
      if (node === 0 || ending === tokens) fail('another token', `${tokens} tokens of some bytes`);
      if (id > last) {
        run++;
        id = firsts[run] + 1;
        last = firsts[run] + lengths[run];
      }
      token[node] = id++;
      ending++;
    } else if (children === 0) {
      fail(`node ${node} without a token`, 'a token at the end of every branch');
    }
    firstChild[node] = child;
    const end = child + children;
    // A node must come after its parent, or there would be nodes that none leads to.
    if (end > count || (end === node + 1 && end < count)) {
      fail(`${children} children of node ${node}`, 'as many as there are nodes');
    }
    for (child++; child < end; child++) {
      if (byte[child] <= byte[child - 1]) {
        fail(`child ${child} of node ${node}`, 'children in order');
      }
    }
    child = end;
  }
  firstChild[count] = child;
  if (child !== count || ending !== tokens) {
    fail(`${child} nodes and ${ending} tokens`, `${count} and ${tokens}`);
  }
  if (at !== file.length) fail(`${file.length} bytes`, `the end after ${at}`);
  return { byte, firstChild, token };
}

/** The bytes of every token, from the ways that lead to the nodes where they end. */
function tableOf({ byte, firstChild, token }: TrieNodes, size: number): TokenTable {
  const count = byte.length;
  const parent = new Int32Array(count);
  const depth = new Uint16Array(count);
  let total = 0;
  for (let node = 0; node < count; node++) {
    for (let child = firstChild[node]; child < firstChild[node + 1]; child++) {
      parent[child] = node;
      depth[child] = depth[node] + 1;
    }
    if (token[node] > 0) total += depth[node];
  }
  const bytes = new Uint8Array(total);
  const starts = new Int32Array(size);
  const ends = new Int32Array(size);
  let written = 0;
  for (let node = 0; node < count; node++) {
    if (token[node] === 0) continue;
    const id = token[node] - 1;
    starts[id] = written;
    written += depth[node];
    ends[id] = written;
    for (let to = written, up = node; up !== 0; up = parent[up]) bytes[--to] = byte[up];
  }
  return { bytes, starts, ends };
}
