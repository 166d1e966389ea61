import { FormatError } from '@rwkv-js/tensor';
import { quote } from './quote.ts';

/** How deep values that nobody asked for may nest. */
const deepest = 64;

const numberToken = /-?(?:0|[1-9]\d*)(?:\.\d+)?(?:[eE][+-]?\d+)?/y;
const wordToken = /true|false|null/y;
const spaces = /[ \t\n\r]*/y;

/**
 * Walks JSON text (RFC 8259) as its reader asks for it, and builds no values that nobody asked for.
 * Unlike JSON.parse it refuses a key that comes twice in an object, whole numbers that a double
 * cannot hold, and deep nesting.
 */
export class JsonCursor {
  readonly #text: string;
  readonly #what: string;
  #at = 0;

  /** `what` names the text in errors: `header of model.safetensors`. */
  constructor(text: string, what: string) {
    this.#text = text;
    this.#what = what;
  }

  /** Walks an object; `field` must take the value of the key that it is given. */
  object(field: (key: string) => void): void {
    this.#expect('{');
    const keys = new Set<string>();
    if (this.#next() === '}') {
      this.#at++;
      return;
    }
    do {
      const key = this.string();
      if (keys.has(key)) this.fail(`the key ${quote(key)} comes twice in one object`);
      keys.add(key);
      this.#expect(':');
      field(key);
    } while (this.#more('}'));
  }

  /** Walks an array; `element` must take one value. */
  array(element: () => void): void {
    this.#expect('[');
    if (this.#next() === ']') {
      this.#at++;
      return;
    }
    do element();
    while (this.#more(']'));
  }

  /** Takes a string. */
  string(): string {
    if (this.#next() !== '"') this.fail('a string was expected');
    let end = this.#at;
    do {
      end = this.#text.indexOf('"', end + 1);
      if (end < 0) this.fail('a string has no end');
    } while (this.#escaped(end));
    const token = this.#text.slice(this.#at, end + 1);
    try {
      const value: unknown = JSON.parse(token);
      this.#at = end + 1;
      return String(value);
    } catch {
      return this.fail('a string holds a wrong escape or a control character');
    }
  }

  /** Takes a number that is whole, not negative, and at most 2⁵³ − 1. */
  count(): number {
    this.#next();
    const token = this.#match(numberToken);
    if (token === undefined) return this.fail('a number was expected');
    const value = Number(token);
    if (!/^\d+$/.test(token) || !Number.isSafeInteger(value)) {
      this.fail(`${quote(token)} was found where a whole number from 0 to 2^53 - 1 was expected`);
    }
    return value;
  }

  /** Takes any value and forgets it. */
  skip(depth = 0): void {
    if (depth > deepest) this.fail(`values nest deeper than ${deepest}`);
    const next = this.#next();
    if (next === '{') this.object(() => this.skip(depth + 1));
    else if (next === '[') this.array(() => this.skip(depth + 1));
    else if (next === '"') this.string();
    else if ((this.#match(wordToken) ?? this.#match(numberToken)) === undefined) {
      this.fail('a value was expected');
    }
  }

  /** Everything after the value; for checking how the text ends. */
  rest(): string {
    return this.#text.slice(this.#at);
  }

  /** Refuses the text: `problem` is what was found here. */
  fail(problem: string): never {
    throw new FormatError(`Reading the ${this.#what}: ${problem} (character ${this.#at}).`);
  }

  /** True when a comma follows, false when the closing character does. */
  #more(close: string): boolean {
    const next = this.#next();
    if (next !== ',' && next !== close) this.fail(`"," or "${close}" was expected`);
    this.#at++;
    return next === ',';
  }

  #expect(character: string): void {
    if (this.#next() !== character) this.fail(`"${character}" was expected`);
    this.#at++;
  }

  /** The next character that is no white space; empty at the end. */
  #next(): string {
    this.#match(spaces);
    return this.#text.charAt(this.#at);
  }

  #match(token: RegExp): string | undefined {
    token.lastIndex = this.#at;
    const match = token.exec(this.#text);
    if (!match) return undefined;
    this.#at = token.lastIndex;
    return match[0];
  }

  /** True when an odd number of backslashes stands before `at`. */
  #escaped(at: number): boolean {
    let first = at;
    while (this.#text[first - 1] === '\\') first--;
    return (at - first) % 2 === 1;
  }
}
