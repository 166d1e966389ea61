/**
 * Decodes token ids one at a time. A token may end within a character; its last bytes are then
 * held back until the rest arrives. What `push` and `flush` return, joined, is what `decode`
 * returns for all the ids at once, wherever they are split and also where they are not UTF-8.
 */
export interface TextStream {
  /**
   * The text that this token completes; empty if it completes none.
   *
   * @throws UsageError for an id the tokenizer cannot decode; the stream is then as before.
   */
  push(id: number): string;
  /** The end: U+FFFD if a character was begun and not completed, else empty. Then starts afresh. */
  flush(): string;
}

/** @param viewToken gives a token's bytes, or throws a UsageError */
export function textStream(viewToken: (id: number) => Uint8Array): TextStream {
  const decoder = new TextDecoder('utf-8', { ignoreBOM: true });
  return {
    push: (id) => decoder.decode(viewToken(id), { stream: true }),
    flush: () => decoder.decode(),
  };
}
