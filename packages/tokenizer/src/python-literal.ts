/** Reports what is wrong with a literal. */
export type LiteralFailure = (found: string, expected: string) => never;

const QUOTE = 0x27;
const DOUBLE_QUOTE = 0x22;
const BACKSLASH = 0x5c;
const LETTER_B = 0x62;
const LETTER_U = 0x75;
const LETTER_CAPITAL_U = 0x55;
const LETTER_X = 0x78;

/** Python's escapes of one character, by their letter, and the byte each stands for. */
const SIMPLE_ESCAPES = new Map(
  [
    ['\\', 0x5c],
    ["'", 0x27],
    ['"', 0x22],
    ['a', 0x07],
    ['b', 0x08],
    ['t', 0x09],
    ['n', 0x0a],
    ['v', 0x0b],
    ['f', 0x0c],
    ['r', 0x0d],
  ].map(([letter, byte]) => [String(letter).charCodeAt(0), Number(byte)]),
);

/**
 * Writes the bytes of a Python `str` or `bytes` literal to `target` and returns where they end.
 * Nothing is evaluated: the literal is one quoted string, without prefix or with `b`. In a `str`
 * literal `\xhh`, `\uhhhh` and `\Uhhhhhhhh` are code points, and the bytes are their UTF-8; in a
 * `bytes` literal `\xhh` is a byte and the other two do not exist. Octal escapes and `\N{…}`,
 * which vocabularies do not use, are refused.
 *
 * @param source UTF-8; the literal is `source[start]` up to `end`.
 * @param target Has room for as many bytes from `at` on as the literal is long.
 */
export function readPythonLiteral(
  source: Uint8Array,
  start: number,
  end: number,
  target: Uint8Array,
  at: number,
  fail: LiteralFailure,
): number {
  const isBytes = source[start] === LETTER_B;
  const open = isBytes ? start + 1 : start;
  const quote = source[open];
  if (open >= end || (quote !== QUOTE && quote !== DOUBLE_QUOTE)) {
    fail(quoted(source, start, end), "a Python literal as 'a', \"a\" or b'\\xff'");
  }
  let from = open + 1;
  while (from < end && source[from] !== quote) {
    const byte = source[from];
    if (byte !== BACKSLASH) {
      if (isBytes && byte > 0x7f) {
        fail(`the byte 0x${byte.toString(16)} in a bytes literal`, 'ASCII and escapes');
      }
      target[at++] = byte;
      from++;
      continue;
    }
    const letter = from + 1 < end ? source[from + 1] : -1;
    const simple = SIMPLE_ESCAPES.get(letter);
    if (simple !== undefined) {
      target[at++] = simple;
      from += 2;
      continue;
    }
    const digits =
      letter === LETTER_X
        ? 2
        : letter === LETTER_U && !isBytes
          ? 4
          : letter === LETTER_CAPITAL_U && !isBytes
            ? 8
            : 0;
    if (digits === 0) {
      fail(
        `the escape ${quoted(source, from, Math.min(from + 2, end))}`,
        isBytes
          ? 'one of \\\\ \\\' \\" \\a \\b \\t \\n \\v \\f \\r \\xhh in a bytes literal'
          : 'one of \\\\ \\\' \\" \\a \\b \\t \\n \\v \\f \\r \\xhh \\uhhhh \\Uhhhhhhhh',
      );
    }
    const value = readHex(source, from + 2, Math.min(from + 2 + digits, end), digits);
    if (value < 0) {
      fail(
        `the escape ${quoted(source, from, Math.min(from + 2 + digits, end))}`,
        `${digits} hexadecimal digits after \\${String.fromCharCode(letter)}`,
      );
    }
    if (isBytes) target[at++] = value;
    else {
      if (value > 0x10ffff || (value >= 0xd800 && value <= 0xdfff)) {
        fail(
          `the escape ${quoted(source, from, from + 2 + digits)}`,
          'a code point up to 10ffff that is not a surrogate',
        );
      }
      at = writeUtf8(value, target, at);
    }
    from += 2 + digits;
  }
  if (from >= end) fail(quoted(source, start, end), 'a closing quote');
  if (from !== end - 1) {
    fail(`${quoted(source, from + 1, end)} after the closing quote`, 'one literal and no more');
  }
  return at;
}

/** Part of a file as a message shows it: quoted, escaped, and not long. */
export function quoted(source: Uint8Array, start: number, end: number): string {
  const longest = 40;
  const text = new TextDecoder().decode(source.subarray(start, Math.min(end, start + longest)));
  return JSON.stringify(end - start > longest ? `${text}…` : text);
}

/** The number that `digits` hexadecimal digits stand for, or -1 if they are not there. */
function readHex(source: Uint8Array, start: number, end: number, digits: number): number {
  if (end - start !== digits) return -1;
  let value = 0;
  for (let at = start; at < end; at++) {
    const byte = source[at];
    const lower = byte | 0x20;
    if (byte >= 0x30 && byte <= 0x39) value = value * 16 + byte - 0x30;
    else if (lower >= 0x61 && lower <= 0x66) value = value * 16 + lower - 0x61 + 10;
    else return -1;
  }
  return value;
}

/** Writes a code point and returns where it ends. */
function writeUtf8(code: number, target: Uint8Array, at: number): number {
  if (code < 0x80) {
    target[at++] = code;
    return at;
  }
  if (code < 0x800) target[at++] = 0xc0 | (code >> 6);
  else {
    if (code < 0x10000) target[at++] = 0xe0 | (code >> 12);
    else {
      target[at++] = 0xf0 | (code >> 18);
      target[at++] = 0x80 | ((code >> 12) & 0x3f);
    }
    target[at++] = 0x80 | ((code >> 6) & 0x3f);
  }
  target[at++] = 0x80 | (code & 0x3f);
  return at;
}
