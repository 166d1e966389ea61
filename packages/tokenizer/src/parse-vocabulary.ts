import { FormatError } from './errors.ts';
import { quoted, readPythonLiteral } from './python-literal.ts';
import { refuseOtherFiles } from './refuse-other-files.ts';
import { toBytes } from './to-bytes.ts';
import { LARGEST_ID, LONGEST_TOKEN, type TokenList } from './token-list.ts';
import { worldFromList } from './world-from-list.ts';
import type { WorldTokenizer } from './world-tokenizer.ts';

const NEWLINE = 0x0a;
const CARRIAGE_RETURN = 0x0d;
const SPACE = 0x20;

/**
 * Reads a vocabulary of the World format (specs/rwkv.md §7.1): a line a token, `id literal length`,
 * the literal a Python `str` or `bytes` literal, the length that of its bytes. Ids are at least 1,
 * in any order, and may have gaps; ids and tokens are unique. CRLF line ends and a byte order mark
 * at the start are accepted. Literals are decoded, never evaluated. A file need not have every
 * single byte as a token; if one is missing, `encode` refuses a text that needs it.
 *
 * @param source The file, as bytes or as text.
 * @param label What messages call the vocabulary: a file name or an address.
 * @throws FormatError with the line, what was found and what was expected; UsageError if the source
 *   is neither text nor bytes.
 */
export function parseVocabulary(source: string | Uint8Array, label: string): WorldTokenizer {
  const file = toBytes(source, `Reading the vocabulary ${label}`);
  refuseOtherFiles(file, label, 'lines of an id, a Python literal and a length');
  return worldFromList(label, readLines(file, label), {
    place: (n) => `line ${n + 1}`,
    fail(n, found, expected) {
      throw lineError(label, n + 1, found, expected);
    },
  });
}

/** Reads every line; token `n` of the list is that of line `n + 1`. */
function readLines(file: Uint8Array, label: string): TokenList {
  let lines = 0;
  for (let at = 0; at < file.length; at++) if (file[at] === NEWLINE) lines++;
  if (file[file.length - 1] !== NEWLINE) lines++;
  refuseInvalidUtf8(file, label);

  // A literal is never shorter than the bytes it stands for.
  const bytes = new Uint8Array(file.length);
  const offsets = new Int32Array(lines + 1);
  const ids = new Int32Array(lines);
  let n = 0;
  const fail = (found: string, expected: string): never => {
    throw lineError(label, n + 1, found, expected);
  };
  let start = hasByteOrderMark(file) ? 3 : 0;
  for (; n < lines; n++) {
    const newline = file.indexOf(NEWLINE, start);
    const next = newline < 0 ? file.length : newline;
    const end = next > start && file[next - 1] === CARRIAGE_RETURN ? next - 1 : next;
    const firstSpace = file.indexOf(SPACE, start);
    const lastSpace = file.lastIndexOf(SPACE, end - 1);
    if (firstSpace < 0 || firstSpace >= end || firstSpace === lastSpace) {
      fail(quoted(file, start, end), 'an id, a Python literal and a length, with spaces between');
    }
    ids[n] = readNumber(file, start, firstSpace, LARGEST_ID);
    if (ids[n] < 1) {
      fail(`the id ${quoted(file, start, firstSpace)}`, `a whole number from 1 to ${LARGEST_ID}`);
    }
    const length = readNumber(file, lastSpace + 1, end, LONGEST_TOKEN);
    if (length < 1) {
      fail(
        `the length ${quoted(file, lastSpace + 1, end)}`,
        `a number of bytes from 1 to ${LONGEST_TOKEN} at the end of the line`,
      );
    }
    offsets[n + 1] = readPythonLiteral(file, firstSpace + 1, lastSpace, bytes, offsets[n], fail);
    const found = offsets[n + 1] - offsets[n];
    if (found !== length) {
      fail(
        `a token of ${found} bytes, ${quoted(file, firstSpace + 1, lastSpace)}`,
        `${length} bytes as the line's length says`,
      );
    }
    start = next + 1;
  }
  return { bytes: bytes.slice(0, offsets[lines]), offsets, ids };
}

function refuseInvalidUtf8(file: Uint8Array, label: string): void {
  if (isUtf8(file)) return;
  let line = 1;
  let start = 0;
  for (;;) {
    const newline = file.indexOf(NEWLINE, start);
    const end = newline < 0 ? file.length : newline;
    if (!isUtf8(file.subarray(start, end))) break;
    start = end + 1;
    line++;
  }
  throw lineError(label, line, 'bytes that are not UTF-8', 'text in UTF-8');
}

function isUtf8(bytes: Uint8Array): boolean {
  try {
    new TextDecoder('utf-8', { fatal: true }).decode(bytes);
    return true;
  } catch {
    return false;
  }
}

function hasByteOrderMark(file: Uint8Array): boolean {
  return file[0] === 0xef && file[1] === 0xbb && file[2] === 0xbf;
}

/** A number in plain decimal digits without leading zeros; -1 if it is not that or too large. */
function readNumber(file: Uint8Array, start: number, end: number, largest: number): number {
  if (start >= end || (file[start] === 0x30 && end - start > 1)) return -1;
  let value = 0;
  for (let at = start; at < end; at++) {
    const digit = file[at] - 0x30;
    if (digit < 0 || digit > 9) return -1;
    value = value * 10 + digit;
    if (value > largest) return -1;
  }
  return value;
}

function lineError(label: string, line: number, found: string, expected: string): FormatError {
  return new FormatError(
    `Reading the vocabulary ${label}, line ${line}: found ${found}, expected ${expected}; use an ` +
      `unchanged copy of the vocabulary file.`,
  );
}
