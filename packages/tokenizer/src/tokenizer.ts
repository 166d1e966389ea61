import type { TextStream } from './text-stream.ts';

/** How a text is encoded. */
export interface EncodeOptions {
  /**
   * Whether special tokens, such as `<|endoftext|>`, are found in the text. They are text by default,
   * so that nobody can end a text, or begin another, by what they write. The World vocabulary has
   * none.
   */
  readonly specialTokens?: boolean | undefined;
}

/**
 * Text to token ids and back. The tokenizers of this package work on bytes: a string is its UTF-8
 * encoding, and bytes go through unchanged, valid UTF-8 or not, where the vocabulary does not itself
 * ask for another form of the text: GPT-NeoX for NFC, a vocabulary of words for lower case.
 */
export interface Tokenizer {
  /** What messages call it: the label the vocabulary was read under, or `bytes`. */
  readonly name: string;

  /** The largest id that has bytes, plus one. 65530 for the World vocabulary. */
  readonly vocabularySize: number;

  /**
   * Ids from 0 up to this number, excluded, can be decoded. It is `vocabularySize` rounded up to a
   * multiple of 256 (to a power of two, below 256), because models pad their embedding: the World
   * vocabulary ends at 65529, its models have 65536 rows, and may sample any of them. Ids without
   * bytes decode to nothing. A model with more rows than this was made for another vocabulary.
   */
  readonly paddedSize: number;

  /**
   * The token ids of a text. A typed array, because prompts are long and devices take typed
   * arrays; `[...ids]` makes a plain one.
   *
   * @param text A string, whose lone surrogates become U+FFFD as with TextEncoder, or bytes, which
   *   are encoded as they are.
   * @throws UsageError if the text needs a byte, or a word, that no token has; never for the World
   *   vocabulary.
   */
  encode(text: string | Uint8Array, options?: EncodeOptions): Uint32Array;

  /**
   * The text of token ids: their bytes, end to end, read as UTF-8 with U+FFFD for what is not
   * UTF-8. A byte order mark is kept.
   *
   * @throws UsageError for an id that is not an integer from 0 to `paddedSize - 1`.
   */
  decode(ids: ArrayLike<number>): string;

  /**
   * The bytes of token ids, end to end; the exact inverse of `encode`, but for normalization.
   *
   * @throws UsageError for an id that is not an integer from 0 to `paddedSize - 1`.
   */
  decodeBytes(ids: ArrayLike<number>): Uint8Array;

  /**
   * The bytes of one token, as a copy; empty for an id that has none.
   *
   * @throws UsageError for an id that is not an integer from 0 to `paddedSize - 1`.
   */
  tokenBytes(id: number): Uint8Array;

  /** A decoder for ids that come one at a time. */
  stream(): TextStream;
}
