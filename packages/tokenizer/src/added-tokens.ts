/** A token that is found in text as it stands, before words are made of it. */
export interface AddedToken {
  readonly id: number;
  readonly content: string;
  /** Stands for no text, such as the end of one; found only where the caller asks. */
  readonly special: boolean;
  /** Found in the text after normalization; else in the text as it was given. */
  readonly normalized: boolean;
}

/** Finds added tokens in text: the leftmost, of those at one place the longest. */
export class AddedTokenFinder {
  readonly #pattern: RegExp | undefined;
  readonly #ids: ReadonlyMap<string, number>;

  constructor(tokens: readonly AddedToken[]) {
    this.#ids = new Map(tokens.map(({ content, id }) => [content, id]));
    const contents = [...this.#ids.keys()].sort((a, b) => b.length - a.length);
    this.#pattern =
      contents.length === 0
        ? undefined
        : new RegExp(contents.map((content) => content.replace(special, '\\$&')).join('|'), 'g');
  }

  /** Calls back with the pieces of a text in order: text between added tokens, and their ids. */
  split(text: string, onText: (text: string) => void, onToken: (id: number) => void): void {
    if (this.#pattern === undefined) return onText(text);
    let from = 0;
    for (const { index, 0: content } of text.matchAll(this.#pattern)) {
      if (index > from) onText(text.slice(from, index));
      onToken(this.#ids.get(content)!);
      from = index + content.length;
    }
    if (from < text.length) onText(text.slice(from));
  }
}

const special = /[\\^$.*+?()[\]{}|/]/g;
