import { FormatError } from '@rwkv-js/tensor';
import type { ByteSource, ReadOptions } from './byte-source.ts';
import { quote } from './quote.ts';

/** The longest central directory that is read; an entry of a torch file takes about 64 bytes. */
const longestDirectory = 16 * 1024 * 1024;

/** The end record, and the longest comment that may follow it. */
const endRecordBytes = 22;
const longestComment = 0xffff;

const localHeaderBytes = 30;

/** An entry as the central directory tells it. */
export interface ZipEntry {
  readonly name: string;
  /** Bytes of the content. */
  readonly size: number;
  readonly localHeader: number;
  /** Why the content cannot be read where it lies: it is compressed or encrypted. */
  readonly problem: string | undefined;
}

/** An archive whose stored entries can be read by ranges. */
export interface Zip {
  readonly entries: ReadonlyMap<string, ZipEntry>;
  /** First byte of an entry's content, from its local header. */
  contentOffset(entry: ZipEntry, options: ReadOptions): Promise<number>;
}

/**
 * Reads the central directory of an archive (PKWARE APPNOTE, with its ZIP64 records). Sizes come from
 * the directory, since local headers of streamed archives do not know them.
 */
export async function openZip(source: ByteSource, options: ReadOptions): Promise<Zip> {
  const { label } = source;
  const end = await findDirectory(source, options);
  if (end.length > longestDirectory) {
    throw new FormatError(
      `Reading ${label} as a zip archive: its directory takes ${end.length} bytes, weight files need ` +
        `less than ${longestDirectory}.`,
    );
  }
  const directory = await source.read(end.offset, end.length, options);
  const entries = new Map<string, ZipEntry>();
  for (let at = 0, index = 0; index < end.count; index++) {
    const { entry, next } = readEntry(directory, at, label);
    // The content must lie before the directory, its local header included.
    if (!entry.problem && entry.size > end.offset - entry.localHeader - localHeaderBytes) {
      throw damaged(label, `entry ${quote(entry.name)} reaches past the end of the contents`);
    }
    if (entries.has(entry.name)) throw damaged(label, `it has two entries ${quote(entry.name)}`);
    entries.set(entry.name, entry);
    at = next;
  }
  return {
    entries,
    contentOffset: (entry, how) => contentOffset(source, entry, end.offset, how),
  };
}

interface Directory {
  readonly offset: number;
  readonly length: number;
  readonly count: number;
}

async function findDirectory(source: ByteSource, options: ReadOptions): Promise<Directory> {
  const { label, size } = source;
  const tailBytes = Math.min(size, endRecordBytes + longestComment);
  const tailAt = size - tailBytes;
  const tail = viewOf(await source.read(tailAt, tailBytes, options));
  const at = findEndRecord(tail);
  if (at === undefined) {
    throw new FormatError(
      `Reading ${label} as a zip archive: the directory at its end is missing, so the file is cut ` +
        `short; download or copy it again.`,
    );
  }
  const disks = tail.getUint32(at + 4, true);
  const record = {
    count: tail.getUint16(at + 10, true),
    length: tail.getUint32(at + 12, true),
    offset: tail.getUint32(at + 16, true),
  };
  const wide = await readZip64(source, tailAt + at, options);
  if (!wide && disks !== 0) throw damaged(label, 'it is one part of an archive in several files');
  const found = wide ?? record;
  if (found.offset > tailAt + at || found.length > tailAt + at - found.offset) {
    throw damaged(label, 'its directory does not lie inside the file');
  }
  return found;
}

/** The last end record whose comment ends with the file. */
function findEndRecord(tail: DataView): number | undefined {
  for (let at = tail.byteLength - endRecordBytes; at >= 0; at--) {
    if (
      tail.getUint32(at, true) === 0x06054b50 &&
      tail.getUint16(at + 20, true) === tail.byteLength - at - endRecordBytes
    ) {
      return at;
    }
  }
  return undefined;
}

/** The ZIP64 end record, where a locator for one stands before the end record. */
async function readZip64(
  source: ByteSource,
  endRecord: number,
  options: ReadOptions,
): Promise<Directory | undefined> {
  const locatorBytes = 20;
  const recordBytes = 56;
  if (endRecord < locatorBytes) return undefined;
  const locator = viewOf(await source.read(endRecord - locatorBytes, locatorBytes, options));
  if (locator.getUint32(0, true) !== 0x07064b50) return undefined;
  const at = u64(locator, 8, source.label);
  if (at > endRecord - locatorBytes - recordBytes) {
    throw damaged(source.label, 'its ZIP64 record does not lie inside the file');
  }
  const record = viewOf(await source.read(at, recordBytes, options));
  if (record.getUint32(0, true) !== 0x06064b50) {
    throw damaged(source.label, 'its ZIP64 record is not where its locator says');
  }
  return {
    count: u64(record, 32, source.label),
    length: u64(record, 40, source.label),
    offset: u64(record, 48, source.label),
  };
}

function readEntry(directory: Uint8Array, at: number, label: string) {
  const fixedBytes = 46;
  const view = viewOf(directory);
  if (at + fixedBytes > directory.length || view.getUint32(at, true) !== 0x02014b50) {
    throw damaged(label, 'its directory ends before all entries are told');
  }
  const nameAt = at + fixedBytes;
  const extraAt = nameAt + view.getUint16(at + 28, true);
  const commentAt = extraAt + view.getUint16(at + 30, true);
  const next = commentAt + view.getUint16(at + 32, true);
  if (next > directory.length) throw damaged(label, 'an entry reaches past its directory');
  const name = new TextDecoder().decode(directory.subarray(nameAt, extraAt));
  const narrow = {
    size: view.getUint32(at + 24, true),
    compressed: view.getUint32(at + 20, true),
    localHeader: view.getUint32(at + 42, true),
  };
  const extra = viewOf(directory.subarray(extraAt, commentAt));
  const { size, compressed, localHeader } = widen(narrow, extra, label);
  const method = view.getUint16(at + 10, true);
  const encrypted = (view.getUint16(at + 8, true) & 1) !== 0;
  const problem = problemOf(method, encrypted, size === compressed);
  return { entry: { name, size, localHeader, problem } satisfies ZipEntry, next };
}

function problemOf(method: number, encrypted: boolean, sameSize: boolean): string | undefined {
  if (encrypted) return 'is encrypted';
  if (method === 8) return 'is compressed with deflate';
  if (method !== 0) return `is compressed with method ${method}`;
  return sameSize ? undefined : 'is stored with two sizes';
}

interface EntryNumbers {
  readonly size: number;
  readonly compressed: number;
  readonly localHeader: number;
}

/** Numbers that do not fit into 32 bits stand in the extra field 1, in this order. */
function widen(narrow: EntryNumbers, extra: DataView, label: string): EntryNumbers {
  const full = 0xffffffff;
  if (narrow.size !== full && narrow.compressed !== full && narrow.localHeader !== full) {
    return narrow;
  }
  const [start, end] = zip64Field(extra, label);
  let at = start;
  const wide = (value: number): number => {
    if (value !== full) return value;
    if (at + 8 > end) throw damaged(label, 'an entry lacks its 64-bit sizes');
    at += 8;
    return u64(extra, at - 8, label);
  };
  return {
    size: wide(narrow.size),
    compressed: wide(narrow.compressed),
    localHeader: wide(narrow.localHeader),
  };
}

/** First byte and end of the extra field 1; empty where there is none. */
function zip64Field(extra: DataView, label: string): [number, number] {
  for (let at = 0; at + 4 <= extra.byteLength;) {
    const end = at + 4 + extra.getUint16(at + 2, true);
    if (end > extra.byteLength) throw damaged(label, 'an extra field reaches past its entry');
    if (extra.getUint16(at, true) === 1) return [at + 4, end];
    at = end;
  }
  return [0, 0];
}

/** The local header's extra field pads to an alignment, and differs from that of the directory. */
async function contentOffset(
  source: ByteSource,
  entry: ZipEntry,
  contentsEnd: number,
  options: ReadOptions,
): Promise<number> {
  const { label } = source;
  if (entry.problem !== undefined) {
    throw new FormatError(
      `Reading ${label}: its entry ${quote(entry.name)} ${entry.problem}, and only stored entries ` +
        `can be read, as torch writes them; save the file again with torch.save.`,
    );
  }
  const header = viewOf(await source.read(entry.localHeader, localHeaderBytes, options));
  if (header.getUint32(0, true) !== 0x04034b50) {
    throw damaged(label, `entry ${quote(entry.name)} is not where the directory says`);
  }
  const offset =
    entry.localHeader + localHeaderBytes + header.getUint16(26, true) + header.getUint16(28, true);
  if (entry.size > contentsEnd - offset) {
    throw damaged(label, `entry ${quote(entry.name)} reaches past the end of the contents`);
  }
  return offset;
}

function u64(view: DataView, at: number, label: string): number {
  const value = Number(view.getBigUint64(at, true));
  if (!Number.isSafeInteger(value)) throw damaged(label, 'a 64-bit size is beyond any file');
  return value;
}

const viewOf = (bytes: Uint8Array): DataView =>
  new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);

function damaged(label: string, problem: string): FormatError {
  return new FormatError(
    `Reading ${label} as a zip archive: ${problem}; the file is damaged, download or copy it again.`,
  );
}
