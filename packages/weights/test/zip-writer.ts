/** Writes zip archives as torch does, and, where a test asks for it, otherwise. */

export interface EntryToZip {
  readonly name: string;
  readonly bytes: Uint8Array;
  /** Compression method; only the number is written, the bytes are taken as they are. */
  readonly method?: number;
  /** Added to the flag bits. */
  readonly flags?: number;
  /** Size that the directory claims. */
  readonly size?: number;
}

export interface ZipOptions {
  /**
   * `beside`: ZIP64 records that say what the old ones say, as torch writes them (the default);
   * `only`: the old ones are full, as for archives above 4 GiB; `none`: no ZIP64 records.
   */
  readonly zip64?: 'beside' | 'only' | 'none';
  readonly comment?: string;
}

/** Torch aligns contents to 64 bytes, by an extra field `FB` in the local headers. */
const alignment = 64;

export function zip(entries: readonly EntryToZip[], options: ZipOptions = {}): Uint8Array {
  const body = new Bytes();
  const directory = new Bytes();
  for (const entry of entries) {
    const localHeader = body.length;
    writeLocal(body, entry);
    writeDirectoryEntry(directory, entry, localHeader, options.zip64 === 'only');
  }
  const offset = body.length;
  body.bytes(directory.take());
  writeEnd(body, entries.length, offset, options);
  return body.take();
}

function writeLocal(out: Bytes, { name, bytes, method = 0, flags = 0 }: EntryToZip): void {
  const start = out.length + 30 + name.length;
  const padding = (alignment - ((start + 4) % alignment)) % alignment;
  out
    .u32(0x04034b50)
    .u16(0)
    .u16(0x0808 | flags)
    .u16(method)
    .u16(0)
    .u16(0);
  out
    .u32(0)
    .u32(0)
    .u32(0)
    .u16(name.length)
    .u16(4 + padding)
    .text(name);
  out.text('FB').u16(padding).text('Z'.repeat(padding));
  out.bytes(bytes);
  out.u32(0x08074b50).u32(crc32(bytes)).u32(bytes.length).u32(bytes.length);
}

function writeDirectoryEntry(
  out: Bytes,
  { name, bytes, method = 0, flags = 0, size = bytes.length }: EntryToZip,
  localHeader: number,
  zip64: boolean,
): void {
  const full = 0xffffffff;
  out
    .u32(0x02014b50)
    .u16(0)
    .u16(0)
    .u16(0x0808 | flags)
    .u16(method)
    .u16(0)
    .u16(0);
  out
    .u32(crc32(bytes))
    .u32(zip64 ? full : size)
    .u32(zip64 ? full : size);
  out
    .u16(name.length)
    .u16(zip64 ? 28 : 0)
    .u16(0)
    .u16(0)
    .u16(0)
    .u32(0);
  out.u32(zip64 ? full : localHeader).text(name);
  if (zip64) out.u16(1).u16(24).u64(size).u64(size).u64(localHeader);
}

function writeEnd(out: Bytes, count: number, offset: number, options: ZipOptions): void {
  const { zip64 = 'beside', comment = '' } = options;
  const only = zip64 === 'only';
  const record = out.length;
  const length = record - offset;
  if (zip64 !== 'none') {
    out.u32(0x06064b50).u64(44).u16(0x031e).u16(45).u32(0).u32(0);
    out.u64(count).u64(count).u64(length).u64(offset);
    out.u32(0x07064b50).u32(0).u64(record).u32(1);
  }
  out
    .u32(0x06054b50)
    .u16(0)
    .u16(0)
    .u16(only ? 0xffff : count)
    .u16(only ? 0xffff : count);
  out.u32(only ? 0xffffffff : length).u32(only ? 0xffffffff : offset);
  out.u16(comment.length).text(comment);
}

function crc32(bytes: Uint8Array): number {
  let crc = ~0;
  for (const byte of bytes) {
    crc ^= byte;
    for (let bit = 0; bit < 8; bit++) crc = (crc >>> 1) ^ (crc & 1 ? 0xedb88320 : 0);
  }
  return ~crc >>> 0;
}

/** Collects little-endian numbers and bytes. */
export class Bytes {
  readonly #chunks: Uint8Array[] = [];
  length = 0;

  u16(value: number): this {
    return this.bytes(Uint8Array.of(value, value >>> 8));
  }

  u32(value: number): this {
    return this.u16(value & 0xffff).u16(value >>> 16);
  }

  u64(value: number): this {
    return this.u32(value % 2 ** 32).u32(Math.floor(value / 2 ** 32));
  }

  text(value: string): this {
    return this.bytes(new TextEncoder().encode(value));
  }

  bytes(value: Uint8Array): this {
    this.#chunks.push(value);
    this.length += value.length;
    return this;
  }

  take(): Uint8Array {
    const all = new Uint8Array(this.length);
    let at = 0;
    for (const chunk of this.#chunks) {
      all.set(chunk, at);
      at += chunk.length;
    }
    return all;
  }
}
