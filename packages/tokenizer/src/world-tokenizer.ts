import { UsageError } from './errors.ts';
import { TableTokenizer } from './table-tokenizer.ts';
import type { TokenTable } from './table-tokenizer.ts';
import type { Trie } from './trie.ts';

/**
 * The tokenizer of the RWKV World models (specs/rwkv.md §7.1), for any vocabulary of that format:
 * the longest token that the rest of the bytes begins with, again and again. No normalisation, no
 * splitting into words, no special tokens: the text `<|endoftext|>` is text.
 *
 * Id 0 is end of text. It has no bytes: it decodes to nothing and `encode` never gives it.
 * `parseVocabulary` makes one.
 */
export class WorldTokenizer extends TableTokenizer {
  readonly #trie: Trie;

  /** @param trie Of the tokens of the table. */
  constructor(name: string, table: TokenTable, trie: Trie) {
    super(name, table);
    this.#trie = trie;
  }

  protected override encodeBytes(bytes: Uint8Array): Uint32Array {
    return this.#trie.encode(bytes, (position) => {
      const byte = bytes[position].toString(16).padStart(2, '0');
      throw new UsageError(
        `Encoding with the vocabulary ${this.name}: found the byte 0x${byte} at byte ${position} ` +
          `where no token matches, expected text made of the vocabulary's tokens; leave it out ` +
          `or use a vocabulary with all 256 single bytes.`,
      );
    });
  }
}
