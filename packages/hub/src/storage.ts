import type { ByteRanges } from './byte-ranges.ts';
import type { RunningSum } from './running-sum.ts';

/**
 * Where a cache keeps its files: one folder for each address, named by its key, and in it small texts
 * and large data by name. What it fails at it throws as the platform's own errors.
 */
export interface Storage {
  readonly kind: 'folder' | 'OPFS' | 'memory';
  /** Where that is, for people: a path, or a few words. */
  readonly place: string;
  /** How many bytes are best written at once. */
  readonly pieceBytes: number;
  keys(): Promise<readonly string[]>;
  /** The names in a folder, with the bytes that each takes. */
  names(key: string): Promise<ReadonlyMap<string, number>>;
  readText(key: string, name: string): Promise<string | undefined>;
  /** Replaces a text at once: nobody reads half of it. */
  writeText(key: string, name: string, text: string): Promise<void>;
  /** Data to read; undefined when there is none of that name. */
  openData(key: string, name: string): Promise<StoredData | undefined>;
  /** What data holds, where it knows that by itself, even when the page went away in between. */
  stored?(key: string, name: string): Promise<ByteRanges>;
  /** Data to read and write; `kept` is what is known to be in it, and the rest is of no value. */
  writeData(key: string, name: string, kept: ByteRanges): Promise<WritableData>;
  /** Gives whole data its name, or says that it keeps its old one. Replaces what has the name. */
  nameData(key: string, from: string, to: string): Promise<string>;
  /** Changes whenever data does, such as size and time of a file; undefined when it is not there. */
  stamp(key: string, name: string): Promise<string | undefined>;
  /** The path of data, where it is one file that other programs can read. */
  path(key: string, name: string): string | undefined;
  remove(key: string, name?: string): Promise<void>;
  /**
   * What is another after a power cut, which may take what was written and not synced: then data is
   * not trusted without its sum.
   */
  boot(): Promise<string>;
  /** Bytes that still fit; undefined when nobody knows. */
  free(): Promise<number | undefined>;
  /**
   * Waits until nobody else holds the key, in this process or another. `waiting` is called now and
   * then meanwhile.
   *
   * @param name of a lock of its own in the key's folder; otherwise that of the key
   */
  lock(
    key: string,
    signal: AbortSignal,
    waiting: () => Promise<void>,
    name?: string,
  ): Promise<Lock>;
}

export interface StoredData {
  readonly size: number;
  /**
   * Exactly `length` bytes, or fewer at the end of what is there.
   *
   * @param into memory to use, at least as long; otherwise the caller gets memory of its own
   */
  read(
    position: number,
    length: number,
    into?: Uint8Array<ArrayBuffer>,
  ): Promise<Uint8Array<ArrayBuffer>>;
  close(): Promise<void>;
}

export interface WritableData extends StoredData {
  write(position: number, bytes: Uint8Array): Promise<void>;
  /** Returns when what was written outlives a power cut. */
  sync(): Promise<void>;
  /** Takes the sum of what is written elsewhere than on this thread, where that can be had. */
  sum?(): Promise<RunningSum>;
}

export interface Lock {
  release(): Promise<void>;
}
