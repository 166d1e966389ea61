import { TableTokenizer } from './table-tokenizer.ts';

/**
 * Every byte is a token and its value is the id: 256 ids, for the byte level models with a
 * vocabulary of 256. Unlike in the World vocabulary, id 0 is a token as any other: the byte 0.
 */
export class ByteTokenizer extends TableTokenizer {
  constructor() {
    super('bytes', {
      bytes: Uint8Array.from({ length: 256 }, (_, byte) => byte),
      starts: Int32Array.from({ length: 256 }, (_, byte) => byte),
      ends: Int32Array.from({ length: 256 }, (_, byte) => byte + 1),
    });
  }

  protected override encodeBytes(bytes: Uint8Array): Uint32Array {
    return Uint32Array.from(bytes);
  }
}
