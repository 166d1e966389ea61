import { UsageError } from '@rwkv-js/tensor';
import type { GgufValue } from './gguf-write.ts';

/** Types of tokens in a vocabulary. */
const types = { normal: 1, control: 3, unused: 5 } as const;

/**
 * A vocabulary as llama.cpp keeps RWKV's: each token's bytes as Python prints them, id 0 as a control
 * token, ids without text as unused ones. specs/rwkv.md §4.7.3
 *
 * @param vocabulary bytes of every token by its id
 * @param size ids that the model has
 * @throws UsageError for a vocabulary with more ids than the model has.
 */
export function ggufTokens(
  vocabulary: readonly (Uint8Array | undefined)[],
  size: number,
): readonly (readonly [string, GgufValue])[] {
  if (vocabulary.length > size) {
    throw new UsageError(
      `Writing GGUF: the vocabulary has ${vocabulary.length} ids, and the model has rows for ${size}; ` +
        "give the model's own vocabulary.",
    );
  }
  const tokens: string[] = [];
  const kinds: number[] = [];
  let endOfTurn: number | undefined;
  for (let id = 0; id < size; id++) {
    const bytes = vocabulary[id];
    if (id === 0) {
      tokens.push('<s>');
      kinds.push(types.control);
    } else if (bytes === undefined || bytes.length === 0) {
      tokens.push(`[PAD${id}]`);
      kinds.push(types.unused);
    } else {
      tokens.push(printed(bytes));
      kinds.push(types.normal);
      if (bytes.length === 2 && bytes[0] === 0x0a && bytes[1] === 0x0a) endOfTurn = id;
    }
  }
  return [
    ['tokenizer.ggml.model', { type: 'string', value: 'rwkv' }],
    ['tokenizer.ggml.tokens', { type: 'list', of: 'string', values: tokens }],
    ['tokenizer.ggml.token_type', { type: 'list', of: 'i32', values: kinds }],
    ...(endOfTurn === undefined
      ? []
      : ([
          ['tokenizer.ggml.eot_token_id', { type: 'u32', value: endOfTurn }],
          ['tokenizer.chat_template', { type: 'string', value: 'rwkv-world' }],
        ] as const)),
  ];
}

/** Bytes as Python prints them, without b and the quotes around. */
function printed(bytes: Uint8Array): string {
  const escapeQuote = bytes.includes(0x27) && bytes.includes(0x22);
  let text = '';
  for (const byte of bytes) {
    if (byte === 0x09) text += '\\t';
    else if (byte === 0x0a) text += '\\n';
    else if (byte === 0x0d) text += '\\r';
    else if (byte === 0x5c) text += '\\\\';
    else if (byte === 0x27 && escapeQuote) text += "\\'";
    else if (byte >= 0x20 && byte < 0x7f) text += String.fromCharCode(byte);
    else text += `\\x${byte.toString(16).padStart(2, '0')}`;
  }
  return text;
}
