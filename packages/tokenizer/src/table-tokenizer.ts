import { UsageError } from './errors.ts';
import { textStream, type TextStream } from './text-stream.ts';
import { typeName } from './to-bytes.ts';
import type { EncodeOptions, Tokenizer } from './tokenizer.ts';

/** The bytes of all tokens in one array: token `id` has `bytes[starts[id]]` up to `ends[id]`. */
export interface TokenTable {
  readonly bytes: Uint8Array;
  readonly starts: Int32Array;
  readonly ends: Int32Array;
}

/** All of a tokenizer that follows from the bytes of its tokens, which is everything but `encode`. */
export abstract class TableTokenizer implements Tokenizer {
  readonly name: string;
  readonly vocabularySize: number;
  readonly paddedSize: number;
  readonly #readTable: () => TokenTable;
  #table: TokenTable | undefined;

  /**
   * @param size How many ids the table has.
   * @param readTable Called when the bytes of a token are first asked for: a program that only counts
   *   or encodes never waits for them.
   */
  constructor(name: string, size: number, readTable: () => TokenTable) {
    this.name = name;
    this.vocabularySize = size;
    this.paddedSize =
      this.vocabularySize > 256
        ? Math.ceil(this.vocabularySize / 256) * 256
        : 2 ** (32 - Math.clz32(this.vocabularySize - 1));
    this.#readTable = readTable;
  }

  abstract encode(text: string | Uint8Array, options?: EncodeOptions): Uint32Array;

  decode(ids: ArrayLike<number>): string {
    return new TextDecoder('utf-8', { ignoreBOM: true }).decode(this.decodeBytes(ids));
  }

  decodeBytes(ids: ArrayLike<number>): Uint8Array {
    if (typeof ids?.length !== 'number') {
      throw new UsageError(
        `Decoding with the vocabulary ${this.name}: found ${typeName(ids)}, ` +
          `expected an array of token ids; put a single id in an array.`,
      );
    }
    const { bytes, starts, ends } = this.#tokens();
    let total = 0;
    for (let index = 0; index < ids.length; index++) {
      const id = ids[index];
      this.#check(id);
      if (id < starts.length) total += ends[id] - starts[id];
    }
    const result = new Uint8Array(total);
    let at = 0;
    for (let index = 0; index < ids.length; index++) {
      const id = ids[index];
      // Tokens are a few bytes long: a plain loop beats a subarray and set for each.
      for (let from = starts[id]; from < ends[id]; from++) result[at++] = bytes[from];
    }
    return result;
  }

  tokenBytes(id: number): Uint8Array {
    return this.#view(id).slice();
  }

  stream(): TextStream {
    return textStream((id) => this.#view(id));
  }

  #view(id: number): Uint8Array {
    this.#check(id);
    const { bytes, starts, ends } = this.#tokens();
    return id < starts.length ? bytes.subarray(starts[id], ends[id]) : bytes.subarray(0, 0);
  }

  #tokens(): TokenTable {
    return (this.#table ??= this.#readTable());
  }

  #check(id: number): void {
    if (Number.isInteger(id) && id >= 0 && id < this.paddedSize) return;
    throw new UsageError(
      `Decoding with the vocabulary ${this.name}: found the token id ${String(id)}, expected an ` +
        `integer from 0 to ${this.paddedSize - 1}; use the vocabulary the model was trained with.`,
    );
  }
}
