import { UsageError } from './errors.ts';
import { IdList } from './id-list.ts';
import { TableTokenizer } from './table-tokenizer.ts';
import { listTokens } from './token-list.ts';
import { toBytes } from './to-bytes.ts';
import type { EncodeOptions } from './tokenizer.ts';

/** What a vocabulary of words is made of. */
interface WordLevelParts {
  readonly ids: ReadonlyMap<string, number>;
  readonly specialTokens: readonly { readonly id: number; readonly content: string }[];
  /** Whether text is turned into lower case first. */
  readonly lowercases: boolean;
  /** What a word becomes that is not there; an error without it. */
  readonly unknown: number | undefined;
}

/**
 * Words between white space, each a token: the vocabulary of the RWKV models of MIDI events
 * (specs/rwkv.md §7.3). A token's bytes are a space and the word, so that tokens, end to end, are words
 * apart; white space is not kept otherwise. Special tokens have no bytes. `parseTokenizer` makes one.
 */
export class WordLevelTokenizer extends TableTokenizer {
  readonly #parts: WordLevelParts;
  readonly #special: ReadonlySet<number>;

  constructor(name: string, parts: WordLevelParts) {
    const special = new Set(parts.specialTokens.map(({ id }) => id));
    const size = Math.max(...parts.ids.values()) + 1;
    const words = Array.from({ length: size }, (_, id) => ({ id, bytes: new Uint8Array(0) }));
    const utf8 = new TextEncoder();
    for (const [word, id] of parts.ids) {
      if (!special.has(id)) words[id] = { id, bytes: utf8.encode(` ${word}`) };
    }
    const { bytes, offsets } = listTokens(words);
    const table = { bytes, starts: offsets.slice(0, -1), ends: offsets.slice(1) };
    super(name, table.starts.length, () => table);
    this.#parts = parts;
    this.#special = special;
  }

  override encode(text: string | Uint8Array, options: EncodeOptions = {}): Uint32Array {
    const bytes = toBytes(text, `Encoding with the vocabulary ${this.name}`);
    const given = new TextDecoder().decode(bytes);
    const { ids, lowercases, unknown } = this.#parts;
    const found = new IdList(0);
    for (const [word] of given.matchAll(/\P{White_Space}+/gu)) {
      const exact = ids.get(word);
      const isSpecial = exact !== undefined && this.#special.has(exact);
      if (isSpecial && options.specialTokens === true) {
        found.push(exact);
        continue;
      }
      const id = isSpecial ? unknown : (ids.get(lowercases ? word.toLowerCase() : word) ?? unknown);
      if (id === undefined || (this.#special.has(id) && id !== unknown)) {
        throw new UsageError(
          `Encoding with the vocabulary ${this.name}: found the word ` +
            `${JSON.stringify(word.slice(0, 40))}, ${isSpecial ? 'a special token, ' : ''}expected ` +
            `words of the vocabulary with white space between; ` +
            (isSpecial ? 'ask for it with specialTokens.' : 'leave it out.'),
        );
      }
      found.push(id);
    }
    return found.take();
  }
}
