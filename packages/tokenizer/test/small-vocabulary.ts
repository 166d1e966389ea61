const utf8 = new TextEncoder();

/**
 * Tokens beyond the single bytes: prefixes of each other with gaps between, halves of characters,
 * both quotes, control characters, and many children below one node.
 */
const words: (string | number[])[] = [
  'th',
  'the',
  ' the',
  'there',
  'thereabouts',
  ' ',
  '  ',
  '        ',
  '\n\n',
  '\r\n',
  '\t\t',
  "it's",
  'say "',
  `'"`,
  'back\\slash',
  'é',
  '你好',
  '世',
  '🙂',
  '\ufeff',
  '\u2028',
  [0xe4, 0xbd],
  [0xf0, 0x9f],
  [0x99, 0x82],
  [0xff, 0xff],
  ...Array.from({ length: 60 }, (_, n) => `q${String.fromCharCode(0x30 + n)}`),
];

/** The tokens of the small vocabulary; token `id` is at `id`, and there is none at 0. */
export const smallTokens: readonly Uint8Array[] = [
  new Uint8Array(0),
  ...Array.from({ length: 256 }, (_, byte) => Uint8Array.of(byte)),
  ...words
    .map((word) => (typeof word === 'string' ? utf8.encode(word) : Uint8Array.from(word)))
    .filter((bytes) => bytes.length > 1),
];

/** Tokens as the lines of a vocabulary file, literals as Python's `repr` writes them. */
export function vocabularyText(tokens: readonly Uint8Array[]): string {
  return tokens
    .map((bytes, id) => (bytes.length === 0 ? '' : `${id} ${literal(bytes)} ${bytes.length}\n`))
    .join('');
}

function literal(bytes: Uint8Array): string {
  let text: string | undefined;
  try {
    text = new TextDecoder('utf-8', { fatal: true, ignoreBOM: true }).decode(bytes);
  } catch {
    text = undefined;
  }
  const characters = text === undefined ? String.fromCharCode(...bytes) : text;
  const quote = characters.includes("'") && !characters.includes('"') ? '"' : "'";
  const escape = (character: string) => {
    const code = character.codePointAt(0) ?? 0;
    if (character === quote || character === '\\') return `\\${character}`;
    if (character === '\n') return '\\n';
    if (character === '\r') return '\\r';
    if (character === '\t') return '\\t';
    if (code < 0x20 || code === 0x7f || (text === undefined && code > 0x7f)) {
      return `\\x${code.toString(16).padStart(2, '0')}`;
    }
    if (code === 0x2028 || code === 0xfeff) return `\\u${code.toString(16).padStart(4, '0')}`;
    return character;
  };
  return `${text === undefined ? 'b' : ''}${quote}${Array.from(characters, escape).join('')}${quote}`;
}
