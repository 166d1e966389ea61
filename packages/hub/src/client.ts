import { FormatError, UsageError } from '@rwkv-js/tensor';
import type { Address } from './address.ts';
import { messageOf, PassingFailure } from './failures.ts';
import { retryAfter } from './patience.ts';
import type { Reply, Request, Send } from './send.ts';
import { waitUnlessAborted } from './wait-unless-aborted.ts';

/** What a hub says of a large file where it redirects to its storage. */
interface Linked {
  readonly size: number | undefined;
  readonly sha256: string | undefined;
}

/** An answer, where it came from in the end, and what redirects said on the way. */
export interface Answer extends Linked {
  readonly response: Reply;
  readonly url: URL;
}

const mostRedirects = 10;
/** Silence for so long is a broken connection. */
const longestSilence = 30_000;
const silence = (): Error => new Error(`nothing came for ${longestSilence / 1000} seconds`);

/**
 * Sends the requests for one address. The token goes to the address's own origin and nowhere else,
 * whatever is redirected where: redirects are followed here, one by one. A page may not see them, so
 * there the browser follows, which drops the token on the same condition (Fetch, HTTP-redirect fetch).
 */
export class Client {
  readonly #address: Address;
  readonly #send: Send;
  readonly #token: string | undefined;

  constructor(address: Address, options: { send: Send; token: string | undefined }) {
    this.#address = address;
    this.#send = options.send;
    this.#token = options.token;
  }

  /**
   * @param from where to ask: the address, or what it was found to lead to; that may have run out,
   * and then asking the address again makes sense
   * @returns an answer with status 200, 206 or 416
   * @throws PassingFailure, FormatError or UsageError for all others; the signal's reason.
   */
  async send(
    from: URL,
    headers: Record<string, string>,
    signal: AbortSignal,
    method: 'GET' | 'HEAD' = 'GET',
  ): Promise<Answer> {
    const remembered = from.href !== this.#address.url.href;
    let url = from;
    let linked: Linked = { size: undefined, sha256: undefined };
    for (let redirects = 0; redirects <= mostRedirects; redirects++) {
      let response = await this.#request(url, { method, headers, redirect: 'manual', signal });
      if (response.type === 'opaqueredirect') {
        response = await this.#request(url, { method, headers, redirect: 'follow', signal });
        if (response.url) url = new URL(response.url);
      }
      linked = linkedFacts(response, linked);
      if (![301, 302, 303, 307, 308].includes(response.status)) {
        return { response: await this.#checked(response, remembered, signal), url, ...linked };
      }
      await drop(response);
      url = this.#redirected(response, url);
    }
    throw new FormatError(
      `Fetching ${this.#address.label}: the server redirected ${mostRedirects} times and more; check the address.`,
    );
  }

  /** A question to the hub itself, beside the file; undefined when it has no answer. */
  async ask(url: URL, body: object, signal: AbortSignal): Promise<unknown> {
    const headers = { ...this.#authorization(url), 'content-type': 'application/json' };
    try {
      const response = await this.#unlessSilent(url, {
        method: 'POST',
        headers,
        body: JSON.stringify(body),
        redirect: 'follow',
        cache: 'no-store',
        signal,
      });
      if (response.status !== 200) {
        await drop(response);
        return undefined;
      }
      const text = new TextDecoder();
      let json = '';
      for await (const piece of this.pieces(response, signal)) {
        json += text.decode(piece, { stream: true });
      }
      return JSON.parse(json);
    } catch {
      signal.throwIfAborted();
      return undefined;
    }
  }

  /**
   * The pieces of a body. Dropping the loop, an error, or the signal cancels the request.
   *
   * @throws PassingFailure when the connection ends early or falls silent.
   */
  async *pieces(response: Reply, signal: AbortSignal): AsyncGenerator<Uint8Array, void> {
    const reader = response.body?.getReader();
    if (!reader) return;
    // One watch over the whole body: a timer and a race for each piece would cost as much as fetching it.
    let failure: { readonly cause: unknown } | undefined;
    /** Since when a piece is waited for; nobody is silent who is not asked. */
    let asked: number | undefined;
    const give = (cause: unknown): void => {
      failure ??= { cause };
      // What waits for a piece is told that there is no more.
      reader.cancel(cause).catch(() => {});
    };
    const aborted = (): void => give(signal.reason);
    let timer: ReturnType<typeof setTimeout> | undefined;
    const watch = (): void => {
      const left = (asked ?? performance.now()) + longestSilence - performance.now();
      if (left <= 0) give(silence());
      else timer = setTimeout(watch, left);
    };
    let whole = false;
    try {
      signal.throwIfAborted();
      signal.addEventListener('abort', aborted);
      watch();
      for (;;) {
        asked = performance.now();
        const { done, value } = await reader.read();
        asked = undefined;
        if (failure) throw failure.cause;
        if (done || !value) {
          whole = true;
          return;
        }
        yield value;
      }
    } catch (cause) {
      throw this.#broken(
        failure ? failure.cause : cause,
        signal,
        'the connection ended before the file did',
      );
    } finally {
      clearTimeout(timer);
      signal.removeEventListener('abort', aborted);
      if (!whole) void reader.cancel().catch(() => {});
    }
  }

  #authorization(url: URL): Record<string, string> {
    if (this.#token === undefined || url.origin !== this.#address.url.origin) return {};
    return { authorization: `Bearer ${this.#token}` };
  }

  async #request(
    url: URL,
    request: Pick<Request, 'method' | 'headers' | 'redirect' | 'signal'>,
  ): Promise<Reply> {
    const { signal } = request;
    signal.throwIfAborted();
    // A compressed body has other lengths and other ranges.
    const fixed = { 'accept-encoding': 'identity', ...this.#authorization(url) };
    const headers = { ...request.headers, ...fixed };
    try {
      return await this.#unlessSilent(url, { ...request, cache: 'no-store', headers });
    } catch (cause) {
      throw this.#broken(cause, signal, 'the server could not be reached');
    }
  }

  /** Sends a request, and takes it back when it is aborted or its answer does not come. */
  async #unlessSilent(url: URL, request: Request): Promise<Reply> {
    const { signal } = request;
    const silent = new AbortController();
    const timer = setTimeout(() => silent.abort(silence()), longestSilence);
    const either = AbortSignal.any([signal, silent.signal]);
    const sent = this.#send(url.href, { ...request, signal: either });
    try {
      return await waitUnlessAborted(sent, either);
    } catch (cause) {
      // An answer that comes too late would hold its connection.
      sent.then(drop).catch(() => {});
      throw cause;
    } finally {
      clearTimeout(timer);
    }
  }

  /** The signal's reason, or what the platform says, under a clear name and without secrets. */
  #broken(cause: unknown, signal: AbortSignal, what: string): unknown {
    if (signal.aborted) return signal.reason;
    const secrets = [this.#token ?? '', this.#address.url.search];
    return new PassingFailure(
      `Fetching ${this.#address.label}: ${what} (${messageOf(cause, secrets)}); try again.`,
    );
  }

  #redirected(response: Reply, from: URL): URL {
    const { label } = this.#address;
    const location = response.headers.get('location');
    if (location === null || !URL.canParse(location, from)) {
      throw new FormatError(
        `Fetching ${label}: the server redirected to no address; check the address.`,
      );
    }
    const to = new URL(location, from);
    const safe = to.protocol === 'https:' || (to.protocol === 'http:' && from.protocol === 'http:');
    if (safe) return to;
    throw new FormatError(
      `Fetching ${label}: the server redirected from ${from.protocol}// to ${to.protocol}//, which is not followed.`,
    );
  }

  async #checked(response: Reply, remembered: boolean, signal: AbortSignal): Promise<Reply> {
    const { status } = response;
    if (status === 416) return response;
    if (status === 206) await this.#refuseEncoded(response);
    if (status === 200 || status === 206) {
      await this.#refuseWebPage(response);
      return response;
    }
    await drop(response);
    signal.throwIfAborted();
    throw this.#statusError(response, remembered);
  }

  /** A range of a compressed file is no range of the file. */
  async #refuseEncoded(response: Reply): Promise<void> {
    const encoding = response.headers.get('content-encoding') ?? 'identity';
    if (/^(identity)?$/i.test(encoding.trim())) return;
    await drop(response);
    throw new FormatError(
      `Fetching ${this.#address.label}: the server sends ranges of it compressed (${encoding}), which was ` +
        'not asked for; download the file by hand and open the copy.',
    );
  }

  async #refuseWebPage(response: Reply): Promise<void> {
    if (!/^(text\/html|application\/xhtml)/i.test(response.headers.get('content-type') ?? ''))
      return;
    await drop(response);
    throw webPage(this.#address);
  }

  #statusError(response: Reply, remembered: boolean): Error {
    const { status } = response;
    const { label, hub } = this.#address;
    const answered = `Fetching ${label}: the server answered ${`${status} ${response.statusText}`.trim()}`;
    if (status === 408 || status === 425 || status === 429 || status >= 500) {
      return new PassingFailure(`${answered}; try again later.`, {
        retryAfter: retryAfter(response),
      });
    }
    // A signed address of the storage behind the hub has run out: the hub gives a new one.
    if (remembered) return new PassingFailure(`${answered} behind a redirect; try again later.`);
    const { origin } = this.#address.url;
    const gate = hub ? `${origin}/${hub.repository}` : origin;
    if (status === 401) {
      return new UsageError(
        this.#token === undefined
          ? `${answered}: the file is private, or there is none; give a token (HF_TOKEN or the option token), or check the address.`
          : `${answered}: it does not know the token, or there is no such file; check both.`,
      );
    }
    if (status === 403) {
      return new UsageError(
        `${answered}: access must be granted first; accept the conditions at ${gate}, then give a token that may read it.`,
      );
    }
    if (status === 404 || status === 410) {
      const what = missing[response.headers.get('x-error-code') ?? ''] ?? 'no such file';
      return new UsageError(`${answered}: there is ${what}; check the address.`);
    }
    return new FormatError(`${answered} instead of the file; check the address.`);
  }
}

/** What the hub says is missing. */
const missing: Readonly<Record<string, string>> = {
  RepoNotFound: 'no such repository, or it is private and needs a token',
  RevisionNotFound: 'no such revision',
  EntryNotFound: 'no such file in the repository',
};

/** The error for a page in place of a file. */
export function webPage({ label, url }: Address): FormatError {
  const instead = /\/blob\//.test(url.pathname)
    ? '/resolve/ in place of /blob/ in it leads to the file'
    : 'give the address of the file itself, not of a page about it';
  return new FormatError(
    `Fetching ${label}: the server answered with a web page instead of a model file; ${instead}.`,
  );
}

function linkedFacts({ headers }: Reply, before: Linked): Linked {
  const size = Number(headers.get('x-linked-size') ?? NaN);
  const tag = /^"?([0-9a-f]{64})"?$/.exec(headers.get('x-linked-etag') ?? '');
  return {
    size: Number.isSafeInteger(size) ? size : before.size,
    sha256: tag?.[1] ?? before.sha256,
  };
}

/** Lets go of an answer whose body nobody wants. */
export async function drop(response: Reply): Promise<void> {
  await response.body?.cancel().catch(() => {});
}
