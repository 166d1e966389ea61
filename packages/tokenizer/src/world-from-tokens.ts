import { FormatError } from './errors.ts';
import { LARGEST_ID, LONGEST_TOKEN, listTokens } from './token-list.ts';
import { worldFromList } from './world-from-list.ts';
import type { WorldTokenizer } from './world-tokenizer.ts';

/**
 * The tokenizer of a World vocabulary whose tokens are at hand, such as that in a GGUF file.
 *
 * @param tokens The bytes of each token by its id; undefined for ids that stand for no text.
 * @param label What messages call the vocabulary: a file name or an address.
 * @throws FormatError with the token, what was found and what was expected.
 */
export function worldFromTokens(
  tokens: readonly (Uint8Array | undefined)[],
  label: string,
): WorldTokenizer {
  const fail = (where: string, found: string, expected: string): never => {
    throw new FormatError(
      `Reading the vocabulary of ${label}${where}: found ${found}, expected ${expected}; give the ` +
        `model's vocabulary as a file.`,
    );
  };
  if (tokens.length > LARGEST_ID + 1) {
    fail('', `${tokens.length} tokens`, `at most ${LARGEST_ID + 1}`);
  }
  const read = tokens.flatMap((bytes, id) => (bytes === undefined ? [] : [{ id, bytes }]));
  if (read.length === 0) fail('', 'no token with text', 'the World vocabulary');
  for (const { id, bytes } of read) {
    if (bytes.length === 0 || bytes.length > LONGEST_TOKEN) {
      fail(`, token ${id}`, `a token of ${bytes.length} bytes`, `1 to ${LONGEST_TOKEN} bytes`);
    }
  }
  return worldFromList(label, listTokens(read), {
    place: (n) => `token ${read[n].id}`,
    fail: (n, found, expected) => fail(`, token ${read[n].id}`, found, expected),
  });
}
