import { FormatError } from './errors.ts';
import { LARGEST_ID, LONGEST_TOKEN, listTokens } from './token-list.ts';
import { worldFromList } from './world-from-list.ts';
import type { WorldTokenizer } from './world-tokenizer.ts';

/** Types of tokens in GGUF that World vocabularies have (specs/rwkv.md §4.7.3). */
const NORMAL = 1;
const CONTROL = 3;
const UNUSED = 5;

const BACKSLASH = 0x5c;
const hexDigits = /^[0-9a-fA-F]{2}$/;

/**
 * The tokenizer of the World vocabulary in a GGUF file (specs/rwkv.md §4.7.3): token `id` is
 * `tokens[id]`, with escapes as `\n` and `\xe4`.
 *
 * @param tokens `tokenizer.ggml.tokens`, where `tokenizer.ggml.model` is `rwkv`.
 * @param types `tokenizer.ggml.token_type`: a token each. Without it, token 0 is the end of text and
 *   those called `[PAD65530]` after their id are filler.
 * @param label What messages call the vocabulary: a file name or an address.
 * @throws FormatError with the token, what was found and what was expected.
 */
export function worldFromGgufTokens(
  tokens: readonly string[],
  types: ArrayLike<number> | undefined,
  label: string,
): WorldTokenizer {
  const fail = (where: string, found: string, expected: string): never => {
    throw new FormatError(
      `Reading the vocabulary of ${label}${where}: found ${found}, expected ${expected}; convert ` +
        `the model to GGUF anew.`,
    );
  };
  if (types !== undefined && types.length !== tokens.length) {
    fail('', `${types.length} token types`, `one for each of the ${tokens.length} tokens`);
  }
  if (tokens.length > LARGEST_ID + 1) {
    fail('', `${tokens.length} tokens`, `at most ${LARGEST_ID + 1}`);
  }
  const read: { id: number; bytes: Uint8Array }[] = [];
  tokens.forEach((token, id) => {
    const where = `, token ${id}`;
    const filler = id === 0 || token === `[PAD${id}]`;
    const type = types === undefined ? (filler ? UNUSED : NORMAL) : types[id];
    if (type === CONTROL || type === UNUSED) return;
    if (type !== NORMAL) {
      fail(
        where,
        `the type ${type}`,
        `${NORMAL} (normal), ${CONTROL} (control) or ${UNUSED} (unused)`,
      );
    }
    const bytes = unescape(token, (found, expected) => fail(where, found, expected));
    if (bytes.length === 0 || bytes.length > LONGEST_TOKEN) {
      fail(where, `a token of ${bytes.length} bytes`, `1 to ${LONGEST_TOKEN} bytes`);
    }
    read.push({ id, bytes });
  });
  if (read.length === 0) fail('', 'no token with text', 'the World vocabulary');
  return worldFromList(label, listTokens(read), {
    place: (n) => `token ${read[n].id}`,
    fail: (n, found, expected) => fail(`, token ${read[n].id}`, found, expected),
  });
}

/** The rule of llama.cpp: \t \n \r are control characters, \xhh is a byte, else \c is c. */
function unescape(token: string, fail: (found: string, expected: string) => never): Uint8Array {
  const utf8 = new TextEncoder().encode(token);
  const bytes = new Uint8Array(utf8.length);
  let length = 0;
  for (let at = 0; at < utf8.length; at++) {
    if (utf8[at] !== BACKSLASH) {
      bytes[length++] = utf8[at];
      continue;
    }
    at++;
    if (at === utf8.length) fail(`a backslash at the end of ${shown(token)}`, 'what it escapes');
    const letter = String.fromCharCode(utf8[at]);
    if (letter === 'x') {
      const digits = String.fromCharCode(...utf8.subarray(at + 1, at + 3));
      if (!hexDigits.test(digits)) fail(shown(token), 'two hexadecimal digits after \\x');
      bytes[length++] = parseInt(digits, 16);
      at += 2;
    } else {
      bytes[length++] = controlCharacters.get(letter) ?? utf8[at];
    }
  }
  return bytes.slice(0, length);
}

const controlCharacters = new Map([
  ['t', 0x09],
  ['n', 0x0a],
  ['r', 0x0d],
]);

function shown(token: string): string {
  return JSON.stringify(token.length > 40 ? `${token.slice(0, 40)}…` : token);
}
