import { FormatError, UsageError } from '@rwkv-js/tensor';
import {
  allocate,
  checkRange,
  closedError,
  pieces,
  shortReadError,
  type ByteSource,
  type ReadOptions,
} from './byte-source.ts';
import { bytesSource } from './bytes-source.ts';

/** What the first request asks for: enough for recognising a file, and for most headers. */
const headBytes = 64 * 1024;

/** A file this small is taken whole from a server that does not answer ranges. */
const wholeFileBytes = 128 * 1024 * 1024;

/**
 * A source over an address, read by HTTP range requests (RFC 9110, range requests). The first
 * request tells the size and fetches the head. From a server that ignores ranges, files up to
 * 128 MiB are fetched whole into memory and longer ones are refused.
 *
 * @throws FormatError when the server answers with an error, a web page, or no size.
 */
export async function urlSource(url: URL, { signal }: ReadOptions = {}): Promise<ByteSource> {
  // Signed addresses carry secrets in their query, so errors never show it.
  const label = url.protocol === 'blob:' ? url.href : url.origin + url.pathname;
  if (url.username || url.password) {
    throw new UsageError(
      `Opening ${label}: an address with a user name in it cannot be fetched; take it out.`,
    );
  }
  const response = await request(url, label, 0, headBytes, signal);
  try {
    refuseWebPage(label, response);
    if (response.status === 416) {
      // The only range that starts at 0 and cannot be answered is that of an empty file.
      await response.body?.cancel();
      return bytesSource(new Uint8Array(0), label);
    }
    if (response.status === 200)
      return bytesSource(await wholeFile(label, response, signal), label);
    const range = contentRange(response);
    if (range && range.start !== 0) throw wrongRange(label, headBytes, 0);
    const size = range?.size ?? (await sizeByHead(url, label, signal));
    const head = allocate(label, Math.min(headBytes, size));
    await readBody(label, response, 0, head, signal);
    return rangeSource(url, label, size, head, response.headers.get('etag'));
  } catch (error) {
    await response.body?.cancel().catch(() => {});
    throw error;
  }
}

function rangeSource(
  url: URL,
  label: string,
  size: number,
  head: Uint8Array,
  etag: string | null,
): ByteSource {
  const closed = new AbortController();
  return {
    label,
    size,
    async read(offset, length, { signal } = {}) {
      signal?.throwIfAborted();
      if (closed.signal.aborted) throw closedError(label);
      checkRange(this, offset, length);
      if (offset + length <= head.length) return head.slice(offset, offset + length);
      const result = allocate(label, length);
      const either = signal ? AbortSignal.any([signal, closed.signal]) : closed.signal;
      for (const piece of pieces(offset, length)) {
        const into = result.subarray(piece.at, piece.at + piece.length);
        await readRange(piece.offset, into, either);
      }
      return result;
    },
    async close() {
      closed.abort(closedError(label));
    },
  };

  async function readRange(offset: number, into: Uint8Array, signal: AbortSignal): Promise<void> {
    const response = await request(url, label, offset, into.length, signal);
    try {
      const range = contentRange(response);
      const tag = response.headers.get('etag');
      if (
        response.status !== 206 ||
        (range && (range.size !== size || range.start !== offset)) ||
        (tag && etag && tag !== etag)
      ) {
        throw new FormatError(
          `Reading ${label}: the server no longer answers with the range of the file that was ` +
            `opened (status ${response.status}); the file was changed, open it again.`,
        );
      }
      await readBody(label, response, offset, into, signal);
    } catch (error) {
      await response.body?.cancel().catch(() => {});
      throw error;
    }
  }
}

/** Sends one range request; any status but 200, 206 and 416 is an error. */
async function request(
  url: URL,
  label: string,
  offset: number,
  length: number,
  signal: AbortSignal | undefined,
): Promise<Response> {
  const headers = { Range: `bytes=${offset}-${offset + length - 1}` };
  const response = await send(url, label, { headers, signal: signal ?? null });
  if (response.status === 200 || response.status === 206) return response;
  if (response.status === 416 && offset === 0) return response;
  await response.body?.cancel();
  throw statusError(label, response);
}

async function send(url: URL, label: string, init: RequestInit): Promise<Response> {
  init.signal?.throwIfAborted();
  try {
    return await fetch(url, init);
  } catch (cause) {
    init.signal?.throwIfAborted();
    throw new FormatError(
      `Fetching ${label}: the server could not be reached (${messageOf(cause)}).`,
      { cause },
    );
  }
}

function statusError(label: string, response: Response): FormatError {
  const status = `${response.status} ${response.statusText}`.trim();
  return new FormatError(
    `Fetching ${label}: the server answered ${status} instead of the file; check the address.`,
  );
}

function refuseWebPage(label: string, response: Response): void {
  if (!response.headers.get('content-type')?.toLowerCase().startsWith('text/html')) return;
  throw new FormatError(
    `Fetching ${label}: the server answered with a web page instead of a weight file; give the ` +
      `address of the file itself, not of a page about it.`,
  );
}

/** `Content-Range: bytes 0-99/1000`. Undefined where it is absent or hidden from the page (CORS). */
function contentRange(response: Response): { start: number; size: number } | undefined {
  const match = /^bytes (\d+)-\d+\/(\d+)$/.exec(response.headers.get('content-range') ?? '');
  if (!match) return undefined;
  const [start, size] = [Number(match[1]), Number(match[2])];
  return Number.isSafeInteger(start) && Number.isSafeInteger(size) ? { start, size } : undefined;
}

/** Content-Length is never hidden from a page, Content-Range may be; so a HEAD tells the size. */
async function sizeByHead(
  url: URL,
  label: string,
  signal: AbortSignal | undefined,
): Promise<number> {
  const response = await send(url, label, { method: 'HEAD', signal: signal ?? null });
  if (response.status !== 200) throw statusError(label, response);
  const size = contentLength(response);
  if (size !== undefined) return size;
  throw new FormatError(
    `Fetching ${label}: the server does not tell the size of the file (no Content-Range and no ` +
      `Content-Length); download it and open the copy.`,
  );
}

/** The length of a body as it comes; undefined when it is compressed on the way or not told. */
function contentLength(response: Response): number | undefined {
  const text = response.headers.get('content-length');
  if (text === null || response.headers.get('content-encoding')) return undefined;
  const length = Number(text);
  return Number.isSafeInteger(length) && length >= 0 ? length : undefined;
}

async function wholeFile(
  label: string,
  response: Response,
  signal: AbortSignal | undefined,
): Promise<Uint8Array> {
  const length = contentLength(response);
  if (length !== undefined && length > wholeFileBytes) throw tooLong(label, `${length} bytes`);
  const chunks: Uint8Array[] = [];
  let total = 0;
  await eachChunk(label, response, signal, (chunk) => {
    total += chunk.length;
    if (total > wholeFileBytes) throw tooLong(label, `more than ${wholeFileBytes} bytes`);
    chunks.push(chunk);
  });
  if (length !== undefined && total !== length) throw shortReadError(label, 0, total, length);
  const bytes = allocate(label, total);
  let at = 0;
  for (const chunk of chunks) {
    bytes.set(chunk, at);
    at += chunk.length;
  }
  return bytes;
}

function tooLong(label: string, length: string): FormatError {
  return new FormatError(
    `Fetching ${label}: the server ignores range requests, and the file is ${length} long (files up ` +
      `to ${wholeFileBytes} bytes are fetched whole); download it and open the copy.`,
  );
}

function wrongRange(label: string, length: number, offset: number): FormatError {
  return new FormatError(
    `Fetching ${label}: ${length} bytes at ${offset} were asked for and others came; the server ` +
      `answers range requests wrongly, download the file and open the copy.`,
  );
}

async function readBody(
  label: string,
  response: Response,
  offset: number,
  into: Uint8Array,
  signal: AbortSignal | undefined,
): Promise<void> {
  let got = 0;
  await eachChunk(label, response, signal, (chunk) => {
    if (chunk.length > into.length - got) {
      throw wrongRange(label, into.length, offset);
    }
    into.set(chunk, got);
    got += chunk.length;
  });
  if (got !== into.length) throw shortReadError(label, offset, got, into.length);
}

async function eachChunk(
  label: string,
  response: Response,
  signal: AbortSignal | undefined,
  take: (chunk: Uint8Array) => void,
): Promise<void> {
  const reader = response.body?.getReader();
  if (!reader) return;
  try {
    for (;;) {
      const { done, value } = await nextChunk(reader);
      signal?.throwIfAborted();
      if (done) return;
      take(value);
    }
  } catch (error) {
    await reader.cancel().catch(() => {});
    throw error;
  } finally {
    reader.releaseLock();
  }

  async function nextChunk(from: ReadableStreamDefaultReader<Uint8Array>) {
    try {
      return await from.read();
    } catch (cause) {
      signal?.throwIfAborted();
      throw new FormatError(
        `Fetching ${label}: the connection ended before the file did (${messageOf(cause)}); try again.`,
        { cause },
      );
    }
  }
}

function messageOf(cause: unknown): string {
  if (!(cause instanceof Error)) return String(cause);
  return cause.cause instanceof Error ? cause.cause.message : cause.message;
}
