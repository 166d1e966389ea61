import { FormatError, UsageError } from '@rwkv-js/tensor';
import type { Address } from './address.ts';
import { drop, webPage, type Answer, type Client } from './client.ts';
import { ChangedFile, PassingFailure } from './failures.ts';
import type { Patience } from './patience.ts';
import type { Reply } from './send.ts';

/** What tells one version of a file from another. */
export interface Version {
  readonly size: number;
  /** The server's ETag, or when it was last modified; undefined when it says neither. */
  readonly tag: string | undefined;
  /** The sum of the whole file, where the hub or the caller says it. */
  readonly sha256: string | undefined;
}

/** True when both are surely the same bytes. */
export function sameVersion(a: Version, b: Version): boolean {
  if (a.size !== b.size) return false;
  if (a.sha256 !== undefined && b.sha256 !== undefined) return a.sha256 === b.sha256;
  return a.tag !== undefined && a.tag === b.tag;
}

/** Bytes of a file, and where they belong. */
export interface Piece {
  readonly position: number;
  readonly bytes: Uint8Array;
}

/** What the first request asks for: enough to know a web page, and for most headers. */
export const headBytes = 64 * 1024;

/**
 * One version of a file on a server. Every answer is held against it; one that is of another version
 * is a ChangedFile.
 */
export class RemoteFile {
  readonly version: Version;
  /** What the first request brought. */
  readonly head: Piece | undefined;
  readonly #address: Address;
  readonly #client: Client;
  /** Where the address was found to lead; undefined when that must be asked again. */
  #url: URL | undefined;
  #tag: string | undefined;
  /** The whole file on its way, from a server that cannot be asked for ranges. */
  #stream: Reply | undefined;

  private constructor(
    address: Address,
    client: Client,
    first: { version: Version; url: URL; head?: Piece | undefined; stream?: Reply | undefined },
  ) {
    this.#address = address;
    this.#client = client;
    this.version = first.version;
    this.head = first.head;
    this.#url = first.url;
    this.#tag = first.version.tag;
    this.#stream = first.stream;
  }

  /**
   * Asks for the file: redirects, size, version, and its first bytes.
   *
   * @param how.position which bytes to ask for first
   * @param how.sha256 the sum that the caller knows
   */
  static async open(
    address: Address,
    client: Client,
    how: {
      readonly position: number;
      readonly sha256: string | undefined;
      readonly patience: Patience;
      readonly signal: AbortSignal;
    },
  ): Promise<RemoteFile> {
    for (;;) {
      const since = await how.patience.ready();
      try {
        return await RemoteFile.#open(address, client, how);
      } catch (error) {
        await how.patience.after(error, since, how.signal);
      }
    }
  }

  static async #open(
    address: Address,
    client: Client,
    {
      position,
      sha256,
      signal,
    }: { position: number; sha256: string | undefined; signal: AbortSignal },
  ): Promise<RemoteFile> {
    const range = rangeHeader(position, position + headBytes);
    const answer = await client.send(address.url, range, signal);
    const { response, url } = answer;
    try {
      if (response.status === 416) {
        if (position > 0) throw new ChangedFile(address.label, 'it is shorter than it was');
        throw new FormatError(`Fetching ${address.label}: the file is empty; check the address.`);
      }
      const { version, complete } = await versionOf(address, client, answer, sha256, signal);
      const sure = version.tag !== undefined || version.sha256 !== undefined;
      if (response.status === 200) {
        return new RemoteFile(address, client, { version, url, stream: response });
      }
      const bytes = await readAll(client, response, signal);
      if (position === 0 && isWebPage(bytes)) throw webPage(address);
      checkPlace(address, response, position, bytes.length, version.size);
      // Ranges of what may change unnoticed could be put together wrongly: only a whole will do.
      const head = sure || complete ? { position, bytes } : undefined;
      return new RemoteFile(address, client, { version, url, head });
    } catch (error) {
      await drop(response);
      throw error;
    }
  }

  /** False when the file comes only from its beginning, in one go. */
  get ranged(): boolean {
    return this.head !== undefined;
  }

  /** Bytes from `start` up to `end`. Fewer, with a PassingFailure, when the connection ends early. */
  async *range(start: number, end: number, signal: AbortSignal): AsyncGenerator<Piece, void> {
    const answer = await this.#send(rangeHeader(start, end), signal);
    const { response } = answer;
    try {
      this.#checkVersion(answer);
      if (response.status !== 206) {
        throw new ChangedFile(
          this.#address.label,
          `the server answered a range with status ${response.status}`,
        );
      }
      const said = contentRange(response);
      if (said && said.size !== undefined && said.size !== this.version.size) {
        const sizes = `the server says ${said.size} bytes now and said ${this.version.size} before`;
        throw new ChangedFile(this.#address.label, sizes);
      }
      if (said && said.start !== start) throw wrongRange(this.#address, start, end);
      yield* this.#pieces(response, start, end, signal);
    } catch (error) {
      await drop(response);
      throw error;
    }
  }

  /** All bytes from the beginning on, from a server that cannot be asked for ranges. */
  async *all(signal: AbortSignal): AsyncGenerator<Piece, void> {
    const begun = this.#stream;
    this.#stream = undefined;
    const response = begun ?? (await this.#whole(signal));
    try {
      let first = true;
      for await (const piece of this.#pieces(response, 0, this.version.size, signal)) {
        if (first && isWebPage(piece.bytes)) throw webPage(this.#address);
        first = false;
        yield piece;
      }
    } finally {
      await drop(response);
    }
  }

  async #whole(signal: AbortSignal): Promise<Reply> {
    const answer = await this.#send({}, signal);
    try {
      this.#checkVersion(answer);
      const length = contentLength(answer.response);
      if (length !== undefined && length !== this.version.size) {
        const sizes = `the server says ${length} bytes now and said ${this.version.size} before`;
        throw new ChangedFile(this.#address.label, sizes);
      }
      return answer.response;
    } catch (error) {
      await drop(answer.response);
      throw error;
    }
  }

  /** Lets go of what is on its way. */
  async close(): Promise<void> {
    if (this.#stream) await drop(this.#stream);
  }

  async #send(headers: Record<string, string>, signal: AbortSignal): Promise<Answer> {
    const from = this.#url ?? this.#address.url;
    try {
      return await this.#client.send(from, headers, signal);
    } catch (error) {
      if (from === this.#url) this.#url = undefined;
      throw error;
    }
  }

  #checkVersion({ response, url, sha256 }: Answer): void {
    const { label } = this.#address;
    if (response.status === 416) throw new ChangedFile(label, 'it is shorter than it was');
    const known = this.version.sha256;
    if (sha256 !== undefined && known !== undefined && sha256 !== known) {
      throw new ChangedFile(label, 'the hub names another sum');
    }
    const tag = tagOf(response);
    // Another storage may have another tag for the file: there the sum at the end must do.
    const elsewhere = this.#url?.href !== url.href && known !== undefined;
    if (!elsewhere && tag !== this.#tag) {
      throw new ChangedFile(label, `its tag is ${tag ?? 'gone'} now and was ${this.#tag} before`);
    }
    this.#url = url;
    this.#tag = tag;
  }

  async *#pieces(
    response: Reply,
    start: number,
    end: number,
    signal: AbortSignal,
  ): AsyncGenerator<Piece, void> {
    let position = start;
    for await (const bytes of this.#client.pieces(response, signal)) {
      if (bytes.length > end - position) throw wrongRange(this.#address, start, end);
      yield { position, bytes };
      position += bytes.length;
    }
    if (position < end) {
      throw new PassingFailure(
        `Fetching ${this.#address.label}: ${end - start} bytes at ${start} were asked for and ` +
          `${position - start} came; the server cuts the file short, try again later.`,
      );
    }
  }
}

async function versionOf(
  address: Address,
  client: Client,
  { response, url, ...linked }: Answer,
  expected: string | undefined,
  signal: AbortSignal,
): Promise<{ version: Version; complete: boolean }> {
  const said = contentRange(response);
  const asked = address.hub && !linked.sha256 ? await askHub(address, client, signal) : undefined;
  const sha256 = linked.sha256 ?? asked?.sha256;
  if (expected !== undefined && sha256 !== undefined && expected !== sha256) {
    throw new UsageError(
      `Fetching ${address.label}: the hub says that its sha256 is ${sha256}, and ${expected} was expected; check both.`,
    );
  }
  const told = response.status === 206 ? said?.size : contentLength(response);
  const linkedSize = linked.size ?? asked?.size;
  if (told !== undefined && linkedSize !== undefined && told !== linkedSize) {
    throw new FormatError(
      `Fetching ${address.label}: the hub says that it has ${linkedSize} bytes and its storage says ${told}; try again later.`,
    );
  }
  const size = told ?? linkedSize ?? (await sizeByHead(client, url, signal));
  if (size === undefined) {
    throw new FormatError(
      `Fetching ${address.label}: the server does not tell the size of the file; download it by hand and open the copy.`,
    );
  }
  if (size === 0) {
    throw new FormatError(`Fetching ${address.label}: the file is empty; check the address.`);
  }
  const version = { size, tag: tagOf(response), sha256: expected ?? sha256 };
  return { version, complete: response.status === 206 && size <= headBytes };
}

/** Size and sum of a file by the hub's own word, for where its redirects cannot be seen. */
async function askHub(
  { hub }: Address,
  client: Client,
  signal: AbortSignal,
): Promise<{ size: number; sha256: string | undefined } | undefined> {
  if (!hub) return undefined;
  const found = await client.ask(hub.pathsInfo, { paths: [hub.file] }, signal);
  if (!Array.isArray(found)) return undefined;
  for (const one of found as readonly unknown[]) {
    if (!isRecord(one) || one['path'] !== hub.file) continue;
    const lfs = isRecord(one['lfs']) ? one['lfs'] : {};
    const size = lfs['size'] ?? one['size'];
    const sum = lfs['oid'];
    if (!Number.isSafeInteger(size)) continue;
    const sha256 = typeof sum === 'string' && /^[0-9a-f]{64}$/.test(sum) ? sum : undefined;
    return { size: Number(size), sha256 };
  }
  return undefined;
}

export function isRecord(value: unknown): value is Record<string, unknown> {
  return typeof value === 'object' && value !== null;
}

/** A page may not see Content-Range of another origin, but always Content-Length. */
async function sizeByHead(
  client: Client,
  url: URL,
  signal: AbortSignal,
): Promise<number | undefined> {
  const { response } = await client.send(url, {}, signal, 'HEAD');
  // Its body is empty, and still holds the connection until it is let go.
  await drop(response);
  return response.status === 200 ? contentLength(response) : undefined;
}

function tagOf({ headers }: Reply): string | undefined {
  return headers.get('etag') ?? headers.get('last-modified') ?? undefined;
}

/** The length of a body as it comes; undefined when it is compressed on the way or not told. */
function contentLength({ headers }: Reply): number | undefined {
  const text = headers.get('content-length');
  const encoding = headers.get('content-encoding') ?? 'identity';
  if (text === null || encoding !== 'identity') return undefined;
  const length = Number(text);
  return Number.isSafeInteger(length) && length >= 0 ? length : undefined;
}

function contentRange({ headers }: Reply): { start: number; size: number | undefined } | undefined {
  const [, start, size] =
    /^bytes (\d+)-\d+\/(\d+|\*)$/.exec(headers.get('content-range') ?? '') ?? [];
  if (start === undefined) return undefined;
  return { start: Number(start), size: size === '*' ? undefined : Number(size) };
}

const rangeHeader = (start: number, end: number): Record<string, string> => ({
  range: `bytes=${start}-${end - 1}`,
});

function checkPlace(
  address: Address,
  response: Reply,
  position: number,
  length: number,
  size: number,
): void {
  const expected = Math.min(headBytes, size - position);
  const start = contentRange(response)?.start ?? position;
  if (start !== position || length > expected) {
    throw wrongRange(address, position, position + expected);
  }
  if (length < expected) {
    throw new PassingFailure(
      `Fetching ${address.label}: ${expected} bytes at ${position} were asked for and ${length} came; ` +
        'the server cuts the file short, try again later.',
    );
  }
}

function wrongRange({ label }: Address, start: number, end: number): FormatError {
  return new FormatError(
    `Fetching ${label}: ${end - start} bytes at ${start} were asked for and others came; ` +
      'the server answers wrongly, download the file by hand and open the copy.',
  );
}

async function readAll(client: Client, response: Reply, signal: AbortSignal): Promise<Uint8Array> {
  const pieces: Uint8Array[] = [];
  let total = 0;
  for await (const piece of client.pieces(response, signal)) {
    pieces.push(piece);
    total += piece.length;
    // More than was asked for is refused by what comes next; it need not be held.
    if (total > headBytes) break;
  }
  const bytes = new Uint8Array(total);
  let at = 0;
  for (const piece of pieces) {
    bytes.set(piece, at);
    at += piece.length;
  }
  return bytes;
}

function isWebPage(bytes: Uint8Array): boolean {
  const text = new TextDecoder('latin1').decode(bytes.subarray(0, 512)).trimStart().toLowerCase();
  return text.startsWith('<!doctype html') || text.startsWith('<html');
}
