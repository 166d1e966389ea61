/** Words kept at once; then all are forgotten, and those in use come back. */
const WORDS = 1 << 15;
const SLOTS = WORDS * 2;
/** Longer words are rare and seldom come twice. */
export const LONGEST_WORD = 32;

/**
 * The tokens of words that came before. A table of its own rather than a Map of strings, because a
 * piece of a string, kept as a key, would keep all of its text in memory, and costs an allocation to
 * look up.
 */
export class WordCache {
  readonly #slots = new Int32Array(SLOTS);
  #words = 0;
  /** Word `n`, from 1 on, is `units[unitsFrom[n]]` up to `unitsFrom[n + 1]`; its tokens likewise. */
  readonly #unitsFrom = new Int32Array(WORDS + 2);
  readonly #tokensFrom = new Int32Array(WORDS + 2);
  #units = new Uint16Array(WORDS * 4);
  #tokens = new Int32Array(WORDS);

  /** The token at each place; see {@link find}. */
  get tokens(): Int32Array {
    return this.#tokens;
  }

  /** The first of a word's tokens. */
  from(word: number): number {
    return this.#tokensFrom[word];
  }

  /** The number of the word `text[start]` up to `end`, or 0 if it is not here. */
  find(text: string, start: number, end: number): number {
    return this.#slots[this.#slot(text, start, end)];
  }

  /** Keeps a word that is not here. */
  add(text: string, start: number, end: number, tokens: Int32Array, count: number): void {
    if (this.#words === WORDS) {
      this.#words = 0;
      this.#slots.fill(0);
    }
    const word = ++this.#words;
    const unitsFrom = word === 1 ? 0 : this.#unitsFrom[word];
    const tokensFrom = word === 1 ? 0 : this.#tokensFrom[word];
    this.#unitsFrom[word] = unitsFrom;
    this.#tokensFrom[word] = tokensFrom;
    const unitsTo = unitsFrom + end - start;
    const tokensTo = tokensFrom + count;
    this.#unitsFrom[word + 1] = unitsTo;
    this.#tokensFrom[word + 1] = tokensTo;
    if (unitsTo > this.#units.length) {
      const longer = new Uint16Array(unitsTo * 2);
      longer.set(this.#units);
      this.#units = longer;
    }
    if (tokensTo > this.#tokens.length) {
      const longer = new Int32Array(tokensTo * 2);
      longer.set(this.#tokens);
      this.#tokens = longer;
    }
    for (let at = start; at < end; at++) {
      this.#units[unitsFrom + at - start] = text.charCodeAt(at);
    }
    this.#tokens.set(tokens.subarray(0, count), tokensFrom);
    this.#slots[this.#slot(text, start, end)] = word;
  }

  /** The slot that the word has, or would have. */
  #slot(text: string, start: number, end: number): number {
    let hash = end - start;
    for (let at = start; at < end; at++) hash = Math.imul(hash ^ text.charCodeAt(at), 0x01000193);
    hash ^= hash >>> 15;
    for (let slot = hash & (SLOTS - 1); ; slot = (slot + 1) & (SLOTS - 1)) {
      const word = this.#slots[slot];
      if (word === 0 || this.#is(word, text, start, end)) return slot;
    }
  }

  #is(word: number, text: string, start: number, end: number): boolean {
    const from = this.#unitsFrom[word];
    if (this.#unitsFrom[word + 1] - from !== end - start) return false;
    for (let at = start; at < end; at++) {
      if (this.#units[from + at - start] !== text.charCodeAt(at)) return false;
    }
    return true;
  }
}
