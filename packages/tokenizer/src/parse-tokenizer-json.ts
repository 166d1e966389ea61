import { BpeTokenizer } from './bpe-tokenizer.ts';
import type { AddedToken } from './added-tokens.ts';
import { bytesOfCharacters } from './byte-characters.ts';
import type { JsonNode } from './json-node.ts';
import { MergeTable } from './merge-table.ts';
import type { TokenTable } from './table-tokenizer.ts';
import { LARGEST_ID, LONGEST_TOKEN, listTokens } from './token-list.ts';
import type { Tokenizer } from './tokenizer.ts';
import { WordLevelTokenizer } from './word-level-tokenizer.ts';
import { worldFromNodes } from './parse-vocabulary-json.ts';

/**
 * The tokenizer of a `tokenizer.json` (Hugging Face tokenizers; specs/rwkv.md §7.2, §7.3) of one of the
 * models that RWKV has: byte-level `BPE` (GPT-NeoX 20B), `WordLevel` (MIDI), and `RwkvTrie` (the World
 * vocabulary in byte characters). A setting that these do not have is refused rather than ignored,
 * since the tokens would be others.
 *
 * @throws FormatError with the place in the file, what was found and what was expected.
 */
export function parseTokenizerJson(root: JsonNode, label: string): Tokenizer {
  const type = root.get('model').get('type');
  switch (type.value) {
    case 'BPE':
      return parseBpe(root, label);
    case 'WordLevel':
      return parseWordLevel(root, label);
    case 'RwkvTrie':
      return parseTrie(root, label);
    default:
      return type.fail(type.shown, '"BPE", "WordLevel" or "RwkvTrie"');
  }
}

function parseBpe(root: JsonNode, label: string): BpeTokenizer {
  const model = root.get('model');
  for (const name of ['dropout', 'unk_token', 'continuing_subword_prefix', 'end_of_word_suffix']) {
    model.get(name).only(null, undefined, ...(name.includes('word') ? [''] : []));
  }
  for (const name of ['byte_fallback', 'ignore_merges']) model.get(name).only(false, undefined);
  for (const name of ['pre_tokenizer', 'decoder']) byteLevel(root.get(name));
  const normalizer = root.get('normalizer');
  if (normalizer.present) normalizer.get('type').only('NFC');

  const addedTokens = readAddedTokens(root);
  const vocabulary = readVocabulary(model);
  const table = readTable(vocabulary, addedTokens, model);

  const tokenOfByte = new Int32Array(256).fill(-1);
  for (const [content, { id }] of vocabulary) {
    if (content.length === 1) tokenOfByte[bytesOfCharacters(content)![0]] = id;
  }
  return new BpeTokenizer(label, {
    table,
    merges: readMerges(model, vocabulary),
    tokenOfByte,
    addedTokens,
    normalizes: normalizer.present,
  });
}

function byteLevel(node: JsonNode): void {
  if (!node.present) node.fail('nothing', 'the type "ByteLevel"');
  node.get('type').only('ByteLevel');
  // Of the decoder, these say nothing.
  if (node.path === 'decoder') return;
  node.get('add_prefix_space').only(false);
  node.get('use_regex').only(true, undefined);
}

interface VocabularyEntry {
  readonly id: number;
  readonly node: JsonNode;
}

function readVocabulary(model: JsonNode): Map<string, VocabularyEntry> {
  const vocabulary = new Map<string, VocabularyEntry>();
  const owners = new Map<number, string>();
  for (const [content, node] of model.get('vocab').entries('an object of tokens and their ids')) {
    const id = node.wholeNumber(LARGEST_ID);
    const owner = owners.get(id);
    if (owner !== undefined) {
      node.fail(`the id ${id} of ${JSON.stringify(owner)} again`, 'an id that is new');
    }
    owners.set(id, content);
    vocabulary.set(content, { id, node });
  }
  if (vocabulary.size === 0) model.get('vocab').fail('no tokens', 'tokens and their ids');
  return vocabulary;
}

function readAddedTokens(root: JsonNode): AddedToken[] {
  const list = root.get('added_tokens');
  if (!list.present) return [];
  const tokens = list.elements().map((node) => {
    for (const name of ['single_word', 'lstrip', 'rstrip']) node.get(name).only(false, undefined);
    const content = node.get('content').string();
    if (content === '') node.get('content').fail('""', 'the text of the token');
    return {
      id: node.get('id').wholeNumber(LARGEST_ID),
      content,
      special: node.get('special').flag(),
      normalized: node.get('normalized').flag(),
      node,
    };
  });
  const seen = new Map<string | number, number>();
  tokens.forEach(({ id, content, node }, n) => {
    for (const key of [id, content]) {
      const first = seen.get(key);
      if (first !== undefined) {
        node.fail(
          `the ${typeof key === 'number' ? 'id' : 'text'} ${JSON.stringify(key)} of ` +
            `added_tokens[${first}] again`,
          'one that is new',
        );
      }
      seen.set(key, n);
    }
  });
  return tokens;
}

/** The bytes of every id: special tokens have none, other added tokens their text. */
function readTable(
  vocabulary: ReadonlyMap<string, VocabularyEntry>,
  addedTokens: readonly AddedToken[],
  model: JsonNode,
): TokenTable {
  const bytesById: (Uint8Array | undefined)[] = [];
  for (const [content, { id, node }] of vocabulary) {
    bytesById[id] =
      bytesOfCharacters(content) ??
      node.fail('a character that stands for no byte', 'a token in the characters of ByteLevel');
  }
  const utf8 = new TextEncoder();
  for (const { id, content, special } of addedTokens) {
    const entry = vocabulary.get(content);
    if ((entry?.id ?? id) !== id || (entry === undefined && bytesById[id] !== undefined)) {
      model
        .get('vocab')
        .fail(
          `another token for ${JSON.stringify(content)} or its id ${id}`,
          'the added token of that text and id, or none',
        );
    }
    bytesById[id] = special ? new Uint8Array(0) : utf8.encode(content);
  }
  const size = bytesById.length;
  if (size !== new Set([...vocabulary.values(), ...addedTokens].map(({ id }) => id)).size) {
    const missing = Array.from(bytesById).indexOf(undefined);
    model.get('vocab').fail(`no token with the id ${missing}`, `one for every id below ${size}`);
  }
  const { bytes, offsets } = listTokens(
    bytesById.map((token, id) => ({ id, bytes: token ?? new Uint8Array(0) })),
  );
  return { bytes, starts: offsets.slice(0, -1), ends: offsets.slice(1) };
}

function readMerges(model: JsonNode, vocabulary: ReadonlyMap<string, VocabularyEntry>): MergeTable {
  const nodes = model.get('merges').elements('an array of pairs of tokens');
  const merges = new MergeTable(nodes.length);
  nodes.forEach((node, rank) => {
    const pair: unknown = typeof node.value === 'string' ? node.value.split(' ') : node.value;
    if (!(Array.isArray(pair) && pair.length === 2)) {
      return node.fail(node.shown, 'two tokens with a space between, or an array of two');
    }
    const [left, right] = pair.map((part: unknown) => {
      const entry = typeof part === 'string' ? vocabulary.get(part) : undefined;
      return (
        entry?.id ?? node.fail(`${JSON.stringify(part)}`, `a token of ${model.get('vocab').path}`)
      );
    });
    const result = vocabulary.get(pair.join(''))?.id;
    if (result === undefined) {
      return node.fail(
        `${JSON.stringify(pair.join(''))} as the result`,
        `a token of ${model.get('vocab').path}`,
      );
    }
    if (!merges.add(left, right, rank, result)) {
      node.fail(`${node.shown} again`, 'a pair that is new');
    }
  });
  return merges;
}

function parseWordLevel(root: JsonNode, label: string): WordLevelTokenizer {
  const normalizer = root.get('normalizer');
  if (normalizer.present) normalizer.get('type').only('Lowercase');
  root.get('pre_tokenizer').get('type').only('WhitespaceSplit');
  const addedTokens = readAddedTokens(root);
  const vocabulary = readVocabulary(root.get('model'));
  const ids = new Map([...vocabulary].map(([word, { id }]) => [word, id]));
  for (const { content, id } of addedTokens) ids.set(content, id);
  const unknown = root.get('model').get('unk_token');
  return new WordLevelTokenizer(label, {
    ids,
    specialTokens: addedTokens.filter(({ special }) => special),
    lowercases: normalizer.present,
    unknown: unknown.present ? ids.get(unknown.string()) : undefined,
  });
}

/** Token 0 is the end of text; it has a name in the file, and no bytes. */
function parseTrie(root: JsonNode, label: string): Tokenizer {
  root.get('normalizer').only(null, undefined);
  root.get('pre_tokenizer').only(null, undefined);
  const special = new Set(readAddedTokens(root).map(({ content }) => content));
  const tokens = [...readVocabulary(root.get('model'))]
    .filter(([content, { id }]) => id !== 0 && !special.has(content))
    .map(([content, { id, node }]) => {
      const bytes = bytesOfCharacters(content);
      if (bytes === undefined || bytes.length === 0 || bytes.length > LONGEST_TOKEN) {
        return node.fail(
          'a token that is no byte characters',
          `1 to ${LONGEST_TOKEN} of the characters of ByteLevel`,
        );
      }
      return { id, bytes, node };
    });
  return worldFromNodes(label, tokens);
}
