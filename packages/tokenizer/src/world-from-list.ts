import { buildTrie } from './build-trie.ts';
import type { TokenTable } from './table-tokenizer.ts';
import type { TokenList } from './token-list.ts';
import { WorldTokenizer } from './world-tokenizer.ts';

/** How the messages of a reader speak of its tokens. */
export interface TokenReport {
  /** Where the token at a place of the list stands in the file: `line 7`. */
  readonly place: (n: number) => string;
  readonly fail: (n: number, found: string, expected: string) => never;
}

/**
 * The tokenizer of tokens that a reader has listed. Every token has at least one byte.
 *
 * @throws what `fail` throws, for an id or a token that is there twice.
 */
export function worldFromList(
  label: string,
  tokens: TokenList,
  { place, fail }: TokenReport,
): WorldTokenizer {
  const trie = buildTrie(tokens, (first, second) =>
    fail(second, `the bytes of the token of ${place(first)} again`, 'a token that is new'),
  );
  const table = tableById(tokens, { place, fail });
  return new WorldTokenizer(label, table.starts.length, () => table, trie);
}

function tableById({ bytes, offsets, ids }: TokenList, { place, fail }: TokenReport): TokenTable {
  let size = 1;
  for (let n = 0; n < ids.length; n++) size = Math.max(size, ids[n] + 1);
  const starts = new Int32Array(size);
  const ends = new Int32Array(size);
  for (let n = 0; n < ids.length; n++) {
    const id = ids[n];
    if (ends[id] !== 0) {
      fail(n, `the id ${id} of ${place(ids.indexOf(id))} again`, 'an id that is new');
    }
    starts[id] = offsets[n];
    ends[id] = offsets[n + 1];
  }
  return { bytes, starts, ends };
}
