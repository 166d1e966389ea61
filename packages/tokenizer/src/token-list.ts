/** Tokens in any order; token `n` is `bytes[offsets[n]]` up to `offsets[n + 1]`. */
export interface TokenList {
  readonly bytes: Uint8Array;
  /** One more than there are tokens. */
  readonly offsets: Int32Array;
  /** The id of each token. */
  readonly ids: Int32Array;
}

/** Tables are as long as the largest id, so a file must not be able to ask for any id it likes. */
export const LARGEST_ID = 0xfffff;

/** Encoding looks ahead by the longest token at each step, so this bounds its time. */
export const LONGEST_TOKEN = 1024;

/** One list of tokens that lie apart. */
export function listTokens(
  tokens: readonly { readonly id: number; readonly bytes: Uint8Array }[],
): TokenList {
  const offsets = new Int32Array(tokens.length + 1);
  tokens.forEach((token, n) => (offsets[n + 1] = offsets[n] + token.bytes.length));
  const bytes = new Uint8Array(offsets[tokens.length]);
  tokens.forEach((token, n) => bytes.set(token.bytes, offsets[n]));
  return { bytes, offsets, ids: Int32Array.from(tokens, ({ id }) => id) };
}
