import { UsageError } from './errors.ts';
import { TableTokenizer } from './table-tokenizer.ts';
import { toBytes } from './to-bytes.ts';

/**
 * Every byte is a token and its value is the id: 256 ids, for the byte level models with a
 * vocabulary of 256. Unlike in the World vocabulary, id 0 is a token as any other: the byte 0.
 *
 * With 128 ids, the codes of ASCII, it is the tokenizer of the models of ABC music (specs/rwkv.md
 * §7.3); there 0 pads, 2 begins a tune and 3 ends it.
 */
export class ByteTokenizer extends TableTokenizer {
  constructor(size: 128 | 256 = 256) {
    super('bytes', size, () => ({
      bytes: Uint8Array.from({ length: size }, (_, byte) => byte),
      starts: Int32Array.from({ length: size }, (_, byte) => byte),
      ends: Int32Array.from({ length: size }, (_, byte) => byte + 1),
    }));
  }

  override encode(text: string | Uint8Array): Uint32Array {
    const bytes = toBytes(text, `Encoding with the vocabulary ${this.name}`);
    const beyond = bytes.findIndex((byte) => byte >= this.vocabularySize);
    if (beyond >= 0) {
      throw new UsageError(
        `Encoding with the vocabulary ${this.name}: found the byte 0x${bytes[beyond].toString(16)} ` +
          `at byte ${beyond}, expected ASCII, of which this vocabulary has the codes; leave it out.`,
      );
    }
    return Uint32Array.from(bytes);
  }
}
