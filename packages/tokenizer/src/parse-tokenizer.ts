import { JsonNode } from './json-node.ts';
import { isPackedVocabulary, unpackVocabulary } from './packed-vocabulary.ts';
import { parseTokenizerJson } from './parse-tokenizer-json.ts';
import { parseVocabulary } from './parse-vocabulary.ts';
import { parseVocabularyJson } from './parse-vocabulary-json.ts';
import { refuseOtherFiles } from './refuse-other-files.ts';
import { toBytes } from './to-bytes.ts';
import type { Tokenizer } from './tokenizer.ts';

const formats =
  'a vocabulary of the World format (lines of an id, a literal and a length), a tokenizer.json, ' +
  'JSON of ids and tokens, or a packed vocabulary';

/**
 * The tokenizer of a vocabulary file, whose format is recognised by what is in it:
 *
 * - the World format, a line `id literal length` a token (see `parseVocabulary`);
 * - `tokenizer.json` of Hugging Face: GPT-NeoX 20B, words (MIDI), the World vocabulary;
 * - a JSON object of ids and tokens, also in UTF-16 as old training code wrote it;
 * - a packed vocabulary (see `packVocabulary`).
 *
 * @param source The file, as bytes or as text.
 * @param label What messages call it: a file name or an address.
 * @throws FormatError with what was found, where, and what was expected; UsageError if the source is
 *   neither text nor bytes.
 */
export function parseTokenizer(source: string | Uint8Array, label: string): Tokenizer {
  const file = toBytes(source, `Reading the vocabulary ${label}`);
  if (isPackedVocabulary(file)) return unpackVocabulary(file, label);
  refuseOtherFiles(file, label, formats);
  const encoding = encodingOf(file);
  if (encoding === undefined) return parseVocabulary(file, label);
  const root = JsonNode.parse(new TextDecoder(encoding).decode(file), label);
  const isTokenizerJson = !Array.isArray(root.value) && root.get('model').present;
  return isTokenizerJson ? parseTokenizerJson(root, label) : parseVocabularyJson(root, label);
}

/** The encoding of a file that is JSON; undefined if it is none. */
function encodingOf(file: Uint8Array): string | undefined {
  const littleEndian = file[0] === 0xff && file[1] === 0xfe;
  const bigEndian = file[0] === 0xfe && file[1] === 0xff;
  const encoding = littleEndian ? 'utf-16le' : bigEndian ? 'utf-16be' : 'utf-8';
  const start = new TextDecoder(encoding).decode(file.subarray(0, 64));
  return /^\s*[[{]/.test(start) ? encoding : undefined;
}
