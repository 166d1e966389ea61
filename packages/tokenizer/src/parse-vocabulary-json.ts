import type { JsonNode } from './json-node.ts';
import { LARGEST_ID, LONGEST_TOKEN, listTokens } from './token-list.ts';
import { worldFromList } from './world-from-list.ts';
import type { WorldTokenizer } from './world-tokenizer.ts';

const END_OF_TEXT = '<|endoftext|>';

/**
 * The tokenizer of a JSON object of ids and tokens, a token a string or a list of bytes (specs/rwkv.md
 * §7.3): the World vocabulary as web-rwkv has it, and the `vocab.json` of models that read single
 * characters. Id 0 is a token as any other, unless it is `<|endoftext|>`, which has no bytes.
 *
 * @throws FormatError with the id, what was found and what was expected.
 */
export function parseVocabularyJson(root: JsonNode, label: string): WorldTokenizer {
  const utf8 = new TextEncoder();
  const tokens = root
    .entries('an object of ids and tokens')
    .filter(([key, { value }]) => !(key === '0' && value === END_OF_TEXT))
    .map(([key, node]) => {
      if (!/^(?:0|[1-9]\d{0,6})$/.test(key) || Number(key) > LARGEST_ID) {
        node.fail(`the id ${JSON.stringify(key.slice(0, 40))}`, 'a whole number as the key');
      }
      const bytes =
        typeof node.value === 'string'
          ? utf8.encode(node.value)
          : Uint8Array.from(
              node.elements('a string or a list of bytes').map((byte) => byte.wholeNumber(255)),
            );
      if (bytes.length === 0 || bytes.length > LONGEST_TOKEN) {
        node.fail(`a token of ${bytes.length} bytes`, `1 to ${LONGEST_TOKEN} bytes`);
      }
      return { id: Number(key), bytes, node };
    });
  if (tokens.length === 0) root.fail('no tokens', 'ids and tokens, such as {"1": "a"}');
  return worldFromNodes(label, tokens);
}

/** The tokenizer of tokens that stand at places of a JSON file. */
export function worldFromNodes(
  label: string,
  tokens: readonly {
    readonly id: number;
    readonly bytes: Uint8Array;
    readonly node: JsonNode;
  }[],
): WorldTokenizer {
  return worldFromList(label, listTokens(tokens), {
    place: (n) => tokens[n].node.path,
    fail: (n, found, expected) => tokens[n].node.fail(found, expected),
  });
}
