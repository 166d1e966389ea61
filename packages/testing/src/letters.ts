const first = 'a'.charCodeAt(0);

/** A tokenizer of twelve letters for the twelve tokens of the specification's models: 0 is `a`. */
export const letters = {
  name: 'letters',
  vocabularySize: 12,
  paddedSize: 16,
  encode: (text: string | Uint8Array) =>
    Uint32Array.from(
      typeof text === 'string' ? text : '',
      (letter) => letter.charCodeAt(0) - first,
    ),
  decode: (ids: ArrayLike<number>) => String.fromCharCode(...Array.from(ids, (id) => first + id)),
  decodeBytes: (ids: ArrayLike<number>) => Uint8Array.from(ids, (id) => first + id),
  tokenBytes: (id: number) => Uint8Array.of(first + id),
  stream: () => ({ push: (id: number) => String.fromCharCode(first + id), flush: () => '' }),
};
