import { isRecord } from './remote-file.ts';

/** What the cache writes down of a whole file. */
export interface EntryFacts {
  /** The address, without anything secret. */
  readonly address: string;
  readonly size: number;
  /** The server's ETag or date of it. */
  readonly tag: string | undefined;
  readonly sha256: string;
  /** The name of its data. */
  readonly data: string;
  /** How the data looked when it was whole; when it looks otherwise, its sum is taken again. */
  readonly stamp: string;
  /** The storage's `boot` while it was written, or `safe` when it has been read after another. */
  readonly boot: string;
  /** When it was saved (ISO 8601). */
  readonly saved: string;
}

export function entryText(facts: EntryFacts): string {
  return `${JSON.stringify(facts, undefined, 2)}\n`;
}

/** Undefined for what is no entry: it is then fetched again. */
export function parseEntry(text: string): EntryFacts | undefined {
  let value: unknown;
  try {
    value = JSON.parse(text);
  } catch {
    return undefined;
  }
  if (!isRecord(value)) return undefined;
  const { address, size, tag, sha256, data, stamp, boot, saved } = value;
  const texts = [address, sha256, data, stamp, boot, saved];
  const isText = (one: unknown): one is string => typeof one === 'string';
  if (!texts.every(isText) || !Number.isSafeInteger(size)) return undefined;
  if (tag !== undefined && !isText(tag)) return undefined;
  return {
    address: String(address),
    size: Number(size),
    tag,
    sha256: String(sha256),
    data: String(data),
    stamp: String(stamp),
    boot: String(boot),
    saved: String(saved),
  };
}
