import { FormatError } from '@rwkv-js/tensor';
import type { ByteSource, ReadOptions } from './byte-source.ts';
import { quote } from './quote.ts';

/** How much is read ahead. Headers are made of many small fields, and a request costs time. */
const windowBytes = 64 * 1024;

/** The longest text that is read; names, settings and templates are far shorter. */
const longestText = 1024 * 1024;

/**
 * Reads little-endian fields of a file one after another, by ranges. `ready` fetches, the others take
 * from what is there, so call `ready` before them.
 */
export class SourceCursor {
  readonly #source: ByteSource;
  readonly #format: string;
  readonly #options: ReadOptions;
  #window = new DataView(new ArrayBuffer(0));
  #windowStart = 0;
  /** Where the next field begins in the file. */
  at: number;

  /** `format` is what errors say the file is read as. */
  constructor(source: ByteSource, format: string, options: ReadOptions, at = 0) {
    this.#source = source;
    this.#format = format;
    this.#options = options;
    this.at = at;
  }

  /** Bytes from here to the end of the file. */
  get remaining(): number {
    return this.#source.size - this.at;
  }

  /**
   * Makes sure that the next `length` bytes can be taken. Undefined when they can at once; that saves
   * the caller's turn of the event loop where fields are many.
   *
   * @throws FormatError when the file ends before, saying what was being read: `the name of a tensor`.
   */
  ready(length: number, what: string): Promise<void> | undefined {
    if (length > this.remaining) {
      this.fail(
        `${what} takes ${length} bytes, and ${this.remaining} follow; it is cut short or damaged`,
      );
    }
    const end = this.#windowStart + this.#window.byteLength;
    if (this.at >= this.#windowStart && this.at + length <= end) return undefined;
    return this.#fetch(length);
  }

  async #fetch(length: number): Promise<void> {
    const size = Math.min(Math.max(length, windowBytes), this.remaining);
    const bytes = await this.#source.read(this.at, size, this.#options);
    this.#window = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
    this.#windowStart = this.at;
  }

  u8(): number {
    return this.#window.getUint8(this.#take(1));
  }

  i8(): number {
    return this.#window.getInt8(this.#take(1));
  }

  u16(): number {
    return this.#window.getUint16(this.#take(2), true);
  }

  i16(): number {
    return this.#window.getInt16(this.#take(2), true);
  }

  u32(): number {
    return this.#window.getUint32(this.#take(4), true);
  }

  i32(): number {
    return this.#window.getInt32(this.#take(4), true);
  }

  u64(): bigint {
    return this.#window.getBigUint64(this.#take(8), true);
  }

  i64(): bigint {
    return this.#window.getBigInt64(this.#take(8), true);
  }

  f32(): number {
    return this.#window.getFloat32(this.#take(4), true);
  }

  f64(): number {
    return this.#window.getFloat64(this.#take(8), true);
  }

  /** A count, size or offset of 64 bits; it must be one that a file could have. */
  count(what: string): number {
    const value = this.u64();
    if (value > BigInt(Number.MAX_SAFE_INTEGER)) {
      this.fail(`${what} is ${value}, which is beyond any file`);
    }
    return Number(value);
  }

  /** UTF-8 text of `length` bytes. */
  async text(length: number, what: string): Promise<string> {
    if (length > longestText && length <= this.remaining) {
      this.fail(`${what} has ${length} bytes, and ${longestText} are allowed`);
    }
    await this.ready(length, what);
    const start = this.#window.byteOffset + this.#take(length);
    const bytes = new Uint8Array(this.#window.buffer, start, length);
    try {
      return new TextDecoder('utf-8', { fatal: true, ignoreBOM: true }).decode(bytes);
    } catch {
      const shown = quote(new TextDecoder('latin1').decode(bytes.subarray(0, 80)));
      return this.fail(`${what} is no UTF-8 text: ${shown}`);
    }
  }

  /** Refuses the file: `problem` is what was found. */
  fail(problem: string): never {
    throw new FormatError(`Reading ${this.#source.label} as ${this.#format}: ${problem}.`);
  }

  #take(length: number): number {
    const place = this.at - this.#windowStart;
    this.at += length;
    return place;
  }
}
