/** The characters that stand for bytes, by their definition: written apart from the code under test. */
const characters: string[] = [];
for (let byte = 0, other = 256; byte < 256; byte++) {
  const visible =
    (byte >= 33 && byte <= 126) || (byte >= 161 && byte <= 172) || (byte >= 174 && byte <= 255);
  characters.push(String.fromCharCode(visible ? byte : other++));
}

/** Text in the characters that stand for its bytes. */
export const byteCharacters = (text: string | Uint8Array): string =>
  Array.from(typeof text === 'string' ? new TextEncoder().encode(text) : text)
    .map((byte) => characters[byte])
    .join('');

const merges = [
  ['t', 'h'],
  ['th', 'e'],
  [' ', 'the'],
  ['h', 'e'],
  ['i', 'n'],
  ['a', 'a'],
  ['aa', 'aa'],
  ['r', 'e'],
  ['\n', '\n'],
  ['é', 'é'],
];

const pieces = [
  '<|endoftext|>',
  '<|padding|>',
  ...characters,
  ...[...byteCharacters('é')].slice(1).map((_, n) => byteCharacters('é').slice(0, n + 2)),
  ...merges.map((pair) => byteCharacters(pair.join(''))),
];

/** A tokenizer.json as that of GPT-NeoX 20B is, with 256 bytes, 11 merges and two runs of spaces. */
export function neoxLike() {
  const spaces = [4, 2].map((length, n) => ({
    id: pieces.length + n,
    content: ' '.repeat(length),
    special: false,
    normalized: true,
  }));
  const specialTokens = ['<|endoftext|>', '<|padding|>'].map((content, id) => ({
    id,
    content,
    special: true,
    normalized: false,
  }));
  return {
    version: '1.0',
    added_tokens: [...specialTokens, ...spaces].map((token) => ({
      ...token,
      single_word: false,
      lstrip: false,
      rstrip: false,
    })),
    normalizer: { type: 'NFC' } as Record<string, unknown> | null,
    pre_tokenizer: { type: 'ByteLevel', add_prefix_space: false, trim_offsets: true },
    decoder: { type: 'ByteLevel', add_prefix_space: false, trim_offsets: true } as unknown,
    model: {
      type: 'BPE',
      dropout: null as unknown,
      unk_token: null,
      continuing_subword_prefix: null,
      end_of_word_suffix: null,
      fuse_unk: false,
      vocab: Object.fromEntries(pieces.map((piece, id) => [piece, id])) as Record<string, unknown>,
      merges: [
        [...byteCharacters('é')].join(' '),
        ...merges.map((pair) => pair.map(byteCharacters).join(' ')),
      ] as unknown[],
    },
  };
}
