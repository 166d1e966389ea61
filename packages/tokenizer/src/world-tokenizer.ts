import { UsageError } from './errors.ts';
import { TableTokenizer } from './table-tokenizer.ts';
import type { TokenTable } from './table-tokenizer.ts';
import { toBytes } from './to-bytes.ts';
import type { Trie } from './trie.ts';

/**
 * The tokenizer of the RWKV World models (specs/rwkv.md §7.1), for any list of tokens: the longest
 * token that the rest of the bytes begins with, again and again. No normalisation, no splitting into
 * words, no special tokens: the text `<|endoftext|>` is text.
 *
 * In the World vocabulary id 0 is end of text. It has no bytes: it decodes to nothing and `encode`
 * never gives it. `parseTokenizer`, `worldFromTokens` and `unpackVocabulary` make one.
 */
export class WorldTokenizer extends TableTokenizer {
  /** Of the tokens of the table. */
  readonly trie: Trie;

  constructor(name: string, size: number, readTable: () => TokenTable, trie: Trie) {
    super(name, size, readTable);
    this.trie = trie;
  }

  override encode(text: string | Uint8Array): Uint32Array {
    const bytes = toBytes(text, `Encoding with the vocabulary ${this.name}`);
    return this.trie.encode(bytes, (position) => {
      const byte = bytes[position].toString(16).padStart(2, '0');
      throw new UsageError(
        `Encoding with the vocabulary ${this.name}: found the byte 0x${byte} at byte ${position} ` +
          `where no token matches, expected text made of the vocabulary's tokens; leave it out ` +
          `or use a vocabulary with all 256 single bytes.`,
      );
    });
  }
}
