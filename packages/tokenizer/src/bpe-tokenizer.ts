import { AddedTokenFinder, type AddedToken } from './added-tokens.ts';
import { UsageError } from './errors.ts';
import { IdList } from './id-list.ts';
import type { MergeTable } from './merge-table.ts';
import { mergeWord } from './merge-word.ts';
import { wordEnd } from './split-words.ts';
import { TableTokenizer, type TokenTable } from './table-tokenizer.ts';
import { typeName } from './to-bytes.ts';
import type { EncodeOptions } from './tokenizer.ts';
import { utf8End } from './utf8-runs.ts';
import { LONGEST_WORD, WordCache } from './word-cache.ts';

/** What a byte-level byte pair encoding is made of. */
export interface BpeParts {
  readonly table: TokenTable;
  readonly merges: MergeTable;
  /** The token of each byte; -1 for none. */
  readonly tokenOfByte: Int32Array;
  readonly addedTokens: readonly AddedToken[];
  /** Whether text is normalized to NFC. */
  readonly normalizes: boolean;
}

/**
 * Byte-level byte pair encoding, as the RWKV-4 models of the Pile have it (GPT-NeoX 20B, specs/rwkv.md
 * §7.2): NFC, added tokens such as runs of spaces, words by the pattern of GPT-2, and within each word
 * merges of bytes by rank. `parseTokenizerJson` makes one.
 *
 * Special tokens, such as `<|endoftext|>`, stand for no text: they decode to nothing, and text is
 * never encoded to them unless `specialTokens` asks. Bytes that are not UTF-8 are their single bytes.
 */
export class BpeTokenizer extends TableTokenizer {
  readonly #merges: MergeTable;
  readonly #tokenOfByte: Int32Array;
  readonly #normalizes: boolean;
  /** Added tokens of the text as given and as normalized: without special tokens, and with them. */
  readonly #finders: readonly (readonly [AddedTokenFinder, AddedTokenFinder])[];
  readonly #cache = new WordCache();
  readonly #encoder = new TextEncoder();
  /** Room for one word: its bytes, and what becomes of them. */
  #bytes = new Uint8Array(256);
  #tokens = new Int32Array(256);

  constructor(name: string, parts: BpeParts) {
    super(name, parts.table.starts.length, () => parts.table);
    this.#merges = parts.merges;
    this.#tokenOfByte = parts.tokenOfByte;
    this.#normalizes = parts.normalizes;
    this.#finders = [false, true].map((specialTokens) => {
      const tokens = parts.addedTokens.filter(({ special }) => specialTokens || !special);
      return [
        new AddedTokenFinder(tokens.filter(({ normalized }) => !normalized)),
        new AddedTokenFinder(tokens.filter(({ normalized }) => normalized)),
      ];
    });
  }

  override encode(text: string | Uint8Array, options: EncodeOptions = {}): Uint32Array {
    if (typeof text === 'string') {
      const ids = new IdList(Math.ceil(text.length / 3));
      this.#encodeText(text, options.specialTokens === true, ids);
      return ids.take();
    }
    if (!(text instanceof Uint8Array)) {
      throw new UsageError(
        `Encoding with the vocabulary ${this.name}: found ${typeName(text)}, expected a string or ` +
          `a Uint8Array; convert it first.`,
      );
    }
    const ids = new IdList(Math.ceil(text.length / 3));
    const decoder = new TextDecoder('utf-8', { ignoreBOM: true });
    for (let at = 0; at < text.length;) {
      const end = utf8End(text, at);
      if (end > at) {
        this.#encodeText(
          decoder.decode(text.subarray(at, end)),
          options.specialTokens === true,
          ids,
        );
      }
      if (end < text.length) ids.push(this.#byteToken(text[end]));
      at = end + 1;
    }
    return ids.take();
  }

  #encodeText(text: string, specialTokens: boolean, ids: IdList): void {
    const [given, normalized] = this.#finders[specialTokens ? 1 : 0];
    const onToken = (id: number) => ids.push(id);
    given.split(
      text,
      (piece) =>
        normalized.split(
          this.#normalizes ? piece.normalize('NFC') : piece,
          (words) => this.#encodeWords(words, ids),
          onToken,
        ),
      onToken,
    );
  }

  #encodeWords(text: string, ids: IdList): void {
    const cache = this.#cache;
    for (let start = 0; start < text.length;) {
      const end = wordEnd(text, start);
      const short = end - start <= LONGEST_WORD;
      const word = short ? cache.find(text, start, end) : 0;
      if (word > 0) {
        ids.append(cache.tokens, cache.from(word), cache.from(word + 1));
      } else {
        const bytes = this.#readBytes(text.slice(start, end));
        const count = mergeWord(this.#tokens, bytes, this.#merges);
        ids.append(this.#tokens, 0, count);
        if (short) cache.add(text, start, end, this.#tokens, count);
      }
      start = end;
    }
  }

  /** Puts the tokens of the single bytes of a word where they are merged, and counts them. */
  #readBytes(word: string): number {
    if (word.length * 3 > this.#bytes.length) {
      this.#bytes = new Uint8Array(word.length * 3);
      this.#tokens = new Int32Array(word.length * 3);
    }
    const { written } = this.#encoder.encodeInto(word, this.#bytes);
    for (let at = 0; at < written; at++) this.#tokens[at] = this.#byteToken(this.#bytes[at]);
    return written;
  }

  #byteToken(byte: number): number {
    const token = this.#tokenOfByte[byte];
    if (token >= 0) return token;
    throw new UsageError(
      `Encoding with the vocabulary ${this.name}: found the byte 0x` +
        `${byte.toString(16).padStart(2, '0')}, which no token has, expected text made of the ` +
        `vocabulary's tokens; leave it out or use a vocabulary with all 256 single bytes.`,
    );
  }
}
