import type { Reply } from './send.ts';
import { PassingFailure } from './failures.ts';

/** How many failures in a row, without anything gained in between, end a transfer. */
const mostFailures = 5;
const firstDelay = 300;
const longestDelay = 20_000;
/** A server that asks for a longer pause is not waited for. */
const longestRetryAfter = 120_000;

/** Waits, or throws the signal's reason at once when it is aborted. */
export type Wait = (milliseconds: number, signal: AbortSignal) => Promise<void>;

export const wait: Wait = (milliseconds, signal) =>
  new Promise((resolve, reject) => {
    signal.throwIfAborted();
    const stop = (): void => {
      clearTimeout(timer);
      reject(signal.reason);
    };
    const timer = setTimeout(() => {
      signal.removeEventListener('abort', stop);
      resolve();
    }, milliseconds);
    signal.addEventListener('abort', stop, { once: true });
  });

/** Counts failures that may pass and waits between attempts: longer each time, or as asked. */
export class Patience {
  readonly #wait: Wait;
  #failures = 0;
  /** How many pauses there have been. */
  #pauses = 0;
  /** Until when nobody is to send a request. */
  #pause: Promise<void> = Promise.resolve();

  constructor(how: Wait = wait) {
    this.#wait = how;
  }

  /** Something was gained. */
  reset(): void {
    this.#failures = 0;
  }

  /** Resolves when the next request may be sent, to what `after` wants to know of it. */
  async ready(): Promise<number> {
    await this.#pause;
    return this.#pauses;
  }

  /**
   * Waits after a failure. Requests that were on their way together and fail together have failed once.
   *
   * @param since what `ready` gave before the request
   * @throws the failure itself when it will not pass, or has not for too often.
   */
  async after(failure: unknown, since: number, signal: AbortSignal): Promise<void> {
    signal.throwIfAborted();
    if (!(failure instanceof PassingFailure)) throw failure;
    const asked = failure.retryAfter ?? 0;
    if (asked > longestRetryAfter) throw failure;
    if (since === this.#pauses) {
      if (++this.#failures >= mostFailures) throw failure;
      const backoff = Math.min(firstDelay * 2 ** (this.#failures - 1), longestDelay);
      // Spread, so that those who failed together do not come back together.
      const delay = Math.max(asked, backoff * (0.75 + Math.random() / 2));
      this.#pauses++;
      this.#pause = this.#wait(delay, signal);
      this.#pause.catch(() => {});
    }
    await this.#pause;
  }
}

/** Milliseconds that a Retry-After header asks for: seconds or a date (RFC 9110). */
export function retryAfter(
  { headers }: Pick<Reply, 'headers'>,
  now = Date.now(),
): number | undefined {
  const text = headers.get('retry-after');
  if (text === null) return undefined;
  const milliseconds = /^\d+$/.test(text.trim()) ? Number(text) * 1000 : Date.parse(text) - now;
  return Number.isNaN(milliseconds) ? undefined : Math.max(0, milliseconds);
}
