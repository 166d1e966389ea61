import { FormatError } from '@rwkv-js/tensor';
import type { ReadOptions } from './byte-source.ts';
import type { MetadataList, StoredVocabulary } from './container.ts';
import type { GgufMetadata } from './gguf-metadata.ts';
import { quote } from './quote.ts';

/** The type of tokens that stand for text. */
const normal = 1;

/**
 * How the vocabulary inside a GGUF file is read; undefined where it holds none. specs/rwkv.md §4.7.3
 */
export function ggufVocabulary(
  { values, lists }: GgufMetadata,
  label: string,
): ((options?: ReadOptions) => Promise<StoredVocabulary>) | undefined {
  const tokens = lists.get('tokenizer.ggml.tokens');
  if (!tokens) return undefined;
  const types = lists.get('tokenizer.ggml.token_type');
  const kind = values.get('tokenizer.ggml.model');
  return (options = {}) => readVocabulary(tokens, types, kind, label, options);
}

async function readVocabulary(
  tokens: MetadataList,
  types: MetadataList | undefined,
  kind: string | undefined,
  label: string,
  options: ReadOptions,
): Promise<StoredVocabulary> {
  const where = `Reading the vocabulary of ${label}`;
  if (kind !== 'rwkv') {
    throw new FormatError(
      `${where}: it is of the kind ${kind === undefined ? 'unknown' : quote(kind)}, and "rwkv" was ` +
        `expected; give the vocabulary of the model as a file.`,
    );
  }
  if (types && types.length !== tokens.length) {
    throw new FormatError(
      `${where}: it has ${tokens.length} tokens and the types of ${types.length}; the file is damaged.`,
    );
  }
  const texts = await tokens.read(options);
  const kinds = await types?.read(options);
  return texts.map((text, id) => {
    if (kinds && kinds[id] !== normal) return undefined;
    if (typeof text === 'string') return unescape(text, `${where}: token ${id}`);
    throw new FormatError(`${where}: its tokens are of the type ${tokens.elementType}, not text.`);
  });
}

const escapes: ReadonlyMap<string, number> = new Map([
  ['t', 0x09],
  ['n', 0x0a],
  ['r', 0x0d],
]);

/**
 * The bytes that the text of a token stands for. It is what Python prints of the bytes, without b and
 * quotes: printable ASCII as it is, `\t`, `\n`, `\r`, `\xhh`, and a backslash before anything else
 * stands for that.
 */
function unescape(text: string, where: string): Uint8Array {
  const bytes: number[] = [];
  for (let i = 0; i < text.length; i++) {
    let byte = text.charCodeAt(i);
    if (text[i] === '\\') {
      const escape = text[++i];
      const digits = text.slice(i + 1, i + 3);
      if (escape === 'x' && /^[\da-f]{2}$/i.test(digits)) {
        byte = Number.parseInt(digits, 16);
        i += 2;
      } else if (escape === undefined || escape === 'x') {
        throw new FormatError(`${where} is ${quote(text)}, which ends in half an escape.`);
      } else byte = escapes.get(escape) ?? escape.charCodeAt(0);
    }
    if (byte > 0xff) {
      throw new FormatError(
        `${where} is ${quote(text)}, which has other characters than ASCII; the vocabulary was not ` +
          `written for RWKV.`,
      );
    }
    bytes.push(byte);
  }
  return Uint8Array.from(bytes);
}
