/**
 * The characters that stand for bytes in the vocabulary of a byte-level tokenizer (specs/rwkv.md §7.2):
 * visible Latin-1 characters for themselves, and for the others, in order, those from U+0100 on.
 */
const byteOfCharacter: ReadonlyMap<string, number> = (() => {
  let others = 0;
  return new Map(
    Array.from({ length: 256 }, (_, byte) => {
      const visible = (byte > 0x20 && byte < 0x7f) || (byte > 0xa0 && byte !== 0xad);
      return [String.fromCharCode(visible ? byte : 0x100 + others++), byte];
    }),
  );
})();

/** The bytes that a string of such characters stands for; undefined if another is among them. */
export function bytesOfCharacters(text: string): Uint8Array | undefined {
  const bytes = new Uint8Array(text.length);
  for (let at = 0; at < text.length; at++) {
    const byte = byteOfCharacter.get(text[at]);
    if (byte === undefined) return undefined;
    bytes[at] = byte;
  }
  return bytes;
}
