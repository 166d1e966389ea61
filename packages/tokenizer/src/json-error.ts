/** Where a text stops being JSON, and what could have stood there. */
export interface JsonError {
  /** In UTF-16 units; the length of the text if it ends too early. */
  readonly at: number;
  readonly expected: string;
}

const blank = /[ \t\n\r]*/y;
const number = /-?(?:0|[1-9]\d*)(?:\.\d+)?(?:[eE][+-]?\d+)?/y;
const literal = /true|false|null/y;
const escape = /\\(?:["\\/bfnrt]|u[0-9a-fA-F]{4})/y;

/**
 * Finds the fault in a text that `JSON.parse` has refused: its messages do not always say where it is,
 * and say it differently in every browser.
 */
export function jsonErrorAt(text: string): JsonError {
  let at = 0;
  const skip = (pattern: RegExp): boolean => {
    pattern.lastIndex = at;
    const found = pattern.exec(text);
    if (found) at = pattern.lastIndex;
    return found !== null;
  };
  const skipString = (): string | undefined => {
    if (text[at] !== '"') return 'a string in double quotes';
    for (at++; text[at] !== '"';) {
      if (text[at] === '\\') {
        if (!skip(escape)) return 'an escape as \\n or \\u0000';
      } else if (at >= text.length || text.charCodeAt(at) < 0x20) return 'a closing quote';
      else at++;
    }
    at++;
    return undefined;
  };
  /** The closing brackets of what is open. */
  const open: string[] = [];
  for (;;) {
    // A value.
    skip(blank);
    const character = text[at];
    if (character === '{' || character === '[') {
      at++;
      skip(blank);
      const close = character === '{' ? '}' : ']';
      if (text[at] !== close) {
        open.push(close);
        const expected = close === '}' ? skipKey() : undefined;
        if (expected) return { at, expected };
        continue;
      }
      at++;
    } else if (character === '"') {
      const expected = skipString();
      if (expected) return { at, expected };
    } else if (!skip(number) && !skip(literal)) {
      return { at, expected: 'a JSON value' };
    }
    // What follows a value.
    for (;;) {
      skip(blank);
      const close = open.at(-1);
      if (close === undefined) return { at, expected: 'nothing more' };
      if (text[at] === close) {
        at++;
        open.pop();
        continue;
      }
      if (text[at] !== ',') return { at, expected: `, or ${close}` };
      at++;
      const expected = close === '}' ? skipKey() : undefined;
      if (expected) return { at, expected };
      break;
    }
  }

  function skipKey(): string | undefined {
    skip(blank);
    const expected = skipString();
    if (expected) return expected;
    skip(blank);
    if (text[at] !== ':') return ':';
    at++;
    return undefined;
  }
}
