import { ByteRanges, type ByteRange } from './byte-ranges.ts';
import { FormatError } from '@rwkv-js/tensor';
import type { Part } from './part.ts';
import type { Patience } from './patience.ts';
import { headBytes, type Piece, type RemoteFile } from './remote-file.ts';
import { waitUnlessAborted } from './wait-unless-aborted.ts';

const connections = 4;
/** The most that one request asks for. */
const requestBytes = 8 * 1024 * 1024;
/** On a slow connection, what came is written, and told of, so often. */
const writeEvery = 250;
/** Gaining less than this before a connection fails is no progress. */
const progressBytes = 64 * 1024;
/** The sum is taken of so many at a time. */
const sumBytes = 2 * 1024 * 1024;

/**
 * Fetches a file into a part, each byte once: first the ranges that somebody waits for, and all
 * others once the whole is asked for. Four requests at most are on their way, and each holds one
 * piece in memory.
 */
export class Transfer {
  readonly #remote: RemoteFile;
  readonly #part: Part;
  readonly #patience: Patience;
  readonly #gained: (bytes: number) => void;
  readonly #stop = new AbortController();
  /** Bytes that are there or that a request is bringing. */
  readonly #taken: ByteRanges;
  /** Ranges that reads wait for, the longest waiting first. */
  readonly #wanted = new Set<ByteRange>();
  readonly #workers = new Set<Promise<void>>();
  #everything = false;
  /** Resolved and replaced whenever something was written or has failed. */
  #news = new Signal();
  #failure: { readonly error: unknown } | undefined;
  #served = false;

  /** @param gained is told of new bytes in the part */
  constructor(remote: RemoteFile, part: Part, patience: Patience, gained: (bytes: number) => void) {
    this.#remote = remote;
    this.#part = part;
    this.#patience = patience;
    this.#gained = gained;
    this.#taken = new ByteRanges(part.have);
  }

  get #size(): number {
    return this.#remote.version.size;
  }

  /** Bytes of the file, as soon as they are there. */
  async read(
    position: number,
    length: number,
    signal: AbortSignal,
  ): Promise<Uint8Array<ArrayBuffer>> {
    const end = position + length;
    if (!this.#part.have.covers(position, end)) {
      // Rounded out: many small reads of neighbours become one request.
      const range = {
        start: Math.floor(position / headBytes) * headBytes,
        end: Math.min(this.#size, Math.ceil(end / headBytes) * headBytes),
      };
      this.#wanted.add(range);
      try {
        await this.#until(() => this.#part.have.covers(position, end), signal);
      } finally {
        this.#wanted.delete(range);
      }
    }
    this.#served = true;
    return this.#part.read(position, length);
  }

  /**
   * Fetches all that is missing.
   *
   * @param verifying is called when all of it is there
   * @returns the sha256 of the whole, taken of what the part holds while the rest comes
   */
  async whole(signal: AbortSignal, verifying: () => void): Promise<string> {
    this.#everything = true;
    const sum = await this.#part.sum();
    try {
      const { have } = this.#part;
      let told = false;
      for (let position = 0; position < this.#size;) {
        const next = Math.min(position + sumBytes, this.#size);
        await this.#until(() => have.covers(position, next), signal);
        if (!told && have.covers(position, this.#size)) {
          told = true;
          verifying();
        }
        await sum.add(next, signal);
        position = next;
      }
      await Promise.all(this.#workers);
      return await sum.digest();
    } finally {
      await sum.close();
    }
  }

  /** Ends all requests. What was read of a piece until then is written first. Idempotent. */
  async stop(reason: unknown): Promise<void> {
    this.#fail(reason);
    this.#stop.abort(reason);
    await Promise.all(this.#workers);
    await this.#remote.close();
  }

  async #until(holds: () => boolean, signal: AbortSignal): Promise<void> {
    while (!holds()) {
      if (this.#failure) throw this.#failure.error;
      this.#employ();
      await waitUnlessAborted(this.#news.promise, signal);
    }
  }

  #employ(): void {
    const most = this.#remote.ranged ? connections : 1;
    while (this.#workers.size < most && !this.#failure) {
      const job = this.#nextJob();
      if (!job) return;
      this.#taken.add(job.start, job.end);
      const worker = this.#work(job).finally(() => {
        this.#workers.delete(worker);
        this.#tell();
      });
      this.#workers.add(worker);
    }
  }

  #nextJob(): ByteRange | undefined {
    if (!this.#remote.ranged)
      return this.#taken.firstGap(0, this.#size) && { start: 0, end: this.#size };
    const ranges = this.#everything
      ? [...this.#wanted, { start: 0, end: this.#size }]
      : this.#wanted;
    for (const { start, end } of ranges) {
      const gap = this.#taken.firstGap(start, end);
      if (gap) return { start: gap.start, end: Math.min(gap.end, gap.start + requestBytes) };
    }
    return undefined;
  }

  /** Fetches a range, and goes on to the next, until there is none. Never rejects. */
  async #work(first: ByteRange): Promise<void> {
    const buffer = new Uint8Array(this.#part.pieceBytes);
    for (let job: ByteRange | undefined = first; job && !this.#failure; job = this.#nextJob()) {
      this.#taken.add(job.start, job.end);
      let since = 0;
      try {
        since = await this.#patience.ready();
        await this.#fetch(job, buffer);
        if (this.#remote.ranged) this.#patience.reset();
      } catch (error) {
        this.#giveBack(job);
        try {
          await this.#recover(error, since);
        } catch (final) {
          this.#fail(final);
        }
      }
    }
  }

  async #fetch({ start, end }: ByteRange, buffer: Uint8Array): Promise<void> {
    const signal = this.#stop.signal;
    const { ranged } = this.#remote;
    const pieces = ranged ? this.#remote.range(start, end, signal) : this.#remote.all(signal);
    let filled = 0;
    let written = start;
    let last = performance.now();
    const flush = async (): Promise<void> => {
      const bytes = buffer.subarray(0, filled);
      filled = 0;
      last = performance.now();
      await this.#write({ position: written, bytes });
      written += bytes.length;
      if (ranged && written - start >= progressBytes) this.#patience.reset();
    };
    try {
      for await (const { bytes } of pieces) {
        for (let at = 0; at < bytes.length;) {
          const taken = Math.min(bytes.length - at, buffer.length - filled);
          buffer.set(bytes.subarray(at, at + taken), filled);
          filled += taken;
          at += taken;
          if (filled === buffer.length) await flush();
        }
        if (filled > 0 && performance.now() - last > writeEvery) await flush();
      }
    } finally {
      // What came before a cut is good: it is not fetched twice.
      if (filled > 0) await flush();
    }
  }

  async #write({ position, bytes }: Piece): Promise<void> {
    await this.#part.write(position, bytes);
    this.#gained(bytes.length);
    this.#tell();
  }

  async #recover(error: unknown, since: number): Promise<void> {
    await this.#patience.after(error, since, this.#stop.signal);
    if (this.#remote.ranged) return;
    // All of it comes anew. Who has read of it must not go on with what may be another version.
    const { tag, sha256: sum } = this.#remote.version;
    if (this.#served && tag === undefined && sum === undefined) {
      throw new FormatError(
        `${error instanceof Error ? error.message : String(error)} The server can only send the whole ` +
          'file again, and does not tell whether it is the same; load it again.',
      );
    }
    this.#gained(-this.#part.have.total);
    await this.#part.reset();
  }

  #giveBack({ start, end }: ByteRange): void {
    this.#taken.delete(start, end);
    for (const range of this.#part.have) this.#taken.add(range.start, range.end);
    if (!this.#remote.ranged) this.#taken.delete(0, this.#size);
  }

  #fail(error: unknown): void {
    if (this.#failure) return;
    this.#failure = { error };
    this.#stop.abort(error);
    this.#tell();
  }

  #tell(): void {
    const before = this.#news;
    this.#news = new Signal();
    before.resolve();
  }
}

/** A promise that whoever holds it can resolve. */
class Signal {
  resolve!: () => void;
  readonly promise = new Promise<void>((resolve) => (this.resolve = resolve));
}
