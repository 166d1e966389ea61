const OTHER = 0;
const LETTER = 1;
const NUMBER = 2;
const SPACE = 3;

const SPACE_CHARACTER = 0x20;
const APOSTROPHE = 0x27;

/** The kind of every UTF-16 unit; those of surrogates are not used. */
const kinds = new Uint8Array(0x10000);
/** Which of the 256 blocks of `kinds` are filled: a text uses few of them. */
const filled = new Uint8Array(256);

function kindOfText(text: string): number {
  if (/^\p{L}/u.test(text)) return LETTER;
  if (/^\p{N}/u.test(text)) return NUMBER;
  // Not \s: that has U+FEFF, which is no white space in Unicode, and lacks U+0085, which is.
  return /^\p{White_Space}/u.test(text) ? SPACE : OTHER;
}

function fill(block: number): void {
  filled[block] = 1;
  for (let unit = block << 8; unit < (block + 1) << 8; unit++) {
    kinds[unit] = kindOfText(String.fromCharCode(unit));
  }
}

/** The kind of the character at a place, and in the bits above 2, its number of units. */
function kindAt(text: string, at: number): number {
  const unit = text.charCodeAt(at);
  if (unit >= 0xd800 && unit < 0xdc00 && at + 1 < text.length) {
    const code = text.codePointAt(at)!;
    if (code > 0xffff) return (2 << 2) | kindOfText(String.fromCodePoint(code));
  }
  if (filled[unit >> 8] === 0) fill(unit >> 8);
  return (1 << 2) | kinds[unit];
}

/** The units of a contraction of English at an apostrophe, with it; 0 if there is none. */
function contraction(text: string, at: number): number {
  switch (text.charCodeAt(at + 1)) {
    case 0x73: // s
    case 0x74: // t
    case 0x6d: // m
    case 0x64: // d
      return 2;
    case 0x72: // re
    case 0x76: // ve
      return text.charCodeAt(at + 2) === 0x65 ? 3 : 0;
    case 0x6c: // ll
      return text.charCodeAt(at + 2) === 0x6c ? 3 : 0;
    default:
      return 0;
  }
}

/**
 * Where the word ends that begins at a place, as the pattern of GPT-2 splits text (specs/rwkv.md §7.2):
 * contractions, then letters, numbers or other characters, each with the space before them, then white
 * space, of which the last is left to the word that follows. Written out, because a regular expression
 * is several times slower.
 *
 * @param text Ends where the text to split ends.
 * @param start Less than the length of the text.
 */
export function wordEnd(text: string, start: number): number {
  const length = text.length;
  const first = text.charCodeAt(start);
  if (first === APOSTROPHE) {
    const units = contraction(text, start);
    if (units > 0) return start + units;
  }
  let at = start;
  let kind = kindAt(text, at);
  if (first === SPACE_CHARACTER && start + 1 < length) {
    const next = kindAt(text, start + 1);
    if ((next & 3) !== SPACE) {
      at++;
      kind = next;
    }
  }
  const run = kind & 3;
  do {
    at += kind >> 2;
    if (at >= length) return length;
    kind = kindAt(text, at);
  } while ((kind & 3) === run);
  return run === SPACE && at - start > 1 ? at - 1 : at;
}
