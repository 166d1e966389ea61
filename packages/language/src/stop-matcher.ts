/**
 * Finds stop strings in text that arrives in pieces. Text that may be the beginning of one is held
 * back until it is clear, so no part of a stop string is ever let through.
 */
export class StopMatcher {
  readonly #stops: readonly string[];
  #held = '';

  /** @param stops strings that end the text; empty ones are ignored */
  constructor(stops: readonly string[]) {
    this.#stops = stops.filter((stop) => stop !== '');
  }

  /** Takes a piece; gives the text that is clear, and the stop string once one is complete. */
  push(piece: string): { readonly text: string; readonly stop?: string } {
    this.#held += piece;
    let first: { readonly at: number; readonly stop: string } | undefined;
    for (const stop of this.#stops) {
      const at = this.#held.indexOf(stop);
      if (at >= 0 && (first === undefined || at < first.at)) first = { at, stop };
    }
    if (first) {
      const text = this.#held.slice(0, first.at);
      this.#held = '';
      return { text, stop: first.stop };
    }
    const clear = this.#held.length - this.#undecided();
    const text = this.#held.slice(0, clear);
    this.#held = this.#held.slice(clear);
    return { text };
  }

  /** The text that was held back, once no more comes. */
  flush(): string {
    const text = this.#held;
    this.#held = '';
    return text;
  }

  /** Length of the longest end of the held text that begins a stop string. */
  #undecided(): number {
    const longest = Math.max(0, ...this.#stops.map((stop) => stop.length - 1));
    for (let length = Math.min(longest, this.#held.length); length > 0; length--) {
      const end = this.#held.slice(-length);
      if (this.#stops.some((stop) => stop.startsWith(end))) return length;
    }
    return 0;
  }
}
