/**
 * Decodes token ids one at a time. A token may end within a character; its last bytes are then
 * held back until the rest arrives. What `push` and `flush` return, joined, is what `decode`
 * returns for all the ids at once, wherever they are split and also where they are not UTF-8.
 */
export class TextStream {
  readonly #viewToken: (id: number) => Uint8Array;
  readonly #decoder = new TextDecoder('utf-8', { ignoreBOM: true });

  /** Made by `Tokenizer.stream()`; `viewToken` gives a token's bytes, or throws a UsageError. */
  constructor(viewToken: (id: number) => Uint8Array) {
    this.#viewToken = viewToken;
  }

  /**
   * The text that this token completes; empty if it completes none.
   *
   * @throws UsageError for an id the tokenizer cannot decode; the stream is then as before.
   */
  push(id: number): string {
    return this.#decoder.decode(this.#viewToken(id), { stream: true });
  }

  /** The end: U+FFFD if a character was begun and not completed, else empty. Then starts afresh. */
  flush(): string {
    return this.#decoder.decode();
  }
}
