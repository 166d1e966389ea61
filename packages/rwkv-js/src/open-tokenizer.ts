import { UsageError } from '@rwkv-js/tensor';
import { ByteTokenizer, parseTokenizer, worldFromTokens, type Tokenizer } from '@rwkv-js/tokenizer';
import type { OpenedWeights, WeightInput } from '@rwkv-js/weights';
import { openInput, readAll, type InputOptions } from './open-input.ts';

/** Far above the size of any vocabulary, far below what would hurt. */
const largestVocabulary = 64 * 1024 * 1024;

/**
 * The tokenizer of a vocabulary file. Its format is recognised by what is in it: the World vocabulary's
 * text, a `tokenizer.json` (GPT-NeoX 20B, as the Pile models have it; words, as the MIDI models), JSON of
 * ids and tokens, or a packed vocabulary.
 *
 * @param input a path, an address, a Blob or bytes
 * @throws FormatError for a file that is no such vocabulary; UsageError for one that is not there.
 */
export async function openTokenizer(
  input: WeightInput,
  options: InputOptions = {},
): Promise<Tokenizer> {
  const source = await openInput(input, options);
  try {
    if (source.size > largestVocabulary) {
      throw new UsageError(
        `vocabulary ${source.label} has ${source.size} bytes; ` +
          'a vocabulary file has a few million at most: is it the model itself?',
      );
    }
    return parseTokenizer(await readAll(source, options), source.label);
  } finally {
    await source.close();
  }
}

/**
 * The tokenizer of a model with that many tokens: of its vocabulary where one is given, or where its file
 * holds one; bytes for the models that have one token for each; none for others.
 */
export async function tokenizerFor(
  vocabulary: WeightInput | Tokenizer | OpenedWeights,
  vocabularySize: number,
  options: { readonly signal?: AbortSignal | undefined },
): Promise<Tokenizer | undefined> {
  if (typeof vocabulary === 'object' && 'encode' in vocabulary) return vocabulary;
  if (!(typeof vocabulary === 'object' && 'tensors' in vocabulary)) {
    return openTokenizer(vocabulary, options);
  }
  const tokens = await vocabulary.vocabulary?.(options);
  if (tokens) return worldFromTokens(tokens, vocabulary.label);
  return vocabularySize === 256 ? new ByteTokenizer() : undefined;
}
