/** Milliseconds between two messages to the page: more often than the eye sees costs the page its ease. */
const interval = 40;

/** Gathers pieces of text, so that the page is told of them at a pace that it can follow. */
export class PieceTeller {
  readonly #tell: (text: string, tokens: readonly number[], milliseconds: number) => void;
  #text = '';
  #told = 0;
  #since = performance.now();

  constructor(tell: (text: string, tokens: readonly number[], milliseconds: number) => void) {
    this.#tell = tell;
  }

  /** @param tokens all tokens so far */
  push(piece: string, tokens: readonly number[]): void {
    this.#text += piece;
    if (performance.now() - this.#since >= interval) this.end(tokens);
  }

  /** Tells what was gathered. */
  end(tokens: readonly number[]): void {
    if (tokens.length === this.#told) return;
    const now = performance.now();
    this.#tell(this.#text, tokens.slice(this.#told), now - this.#since);
    this.#text = '';
    this.#told = tokens.length;
    this.#since = now;
  }
}
