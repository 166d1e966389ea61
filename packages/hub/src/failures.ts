import { FormatError } from '@rwkv-js/tensor';

/** A failure that may pass: trying again makes sense. When patience is out, it is the error. */
export class PassingFailure extends FormatError {
  /** Milliseconds that the server asked to wait. */
  readonly retryAfter: number | undefined;

  constructor(message: string, options: { retryAfter?: number | undefined; cause?: unknown } = {}) {
    super(message, options.cause === undefined ? {} : { cause: options.cause });
    this.retryAfter = options.retryAfter;
  }
}

/** The file at the address is not the one that was begun. What was fetched of it is of no use. */
export class ChangedFile extends FormatError {
  constructor(label: string, found: string, why = 'the file was changed while it was fetched') {
    super(`Fetching ${label}: ${found}; ${why}, load it again.`);
  }
}

/** A few words for what a platform's error says, without any of `secrets`. */
export function messageOf(cause: unknown, secrets: readonly string[] = []): string {
  // Where a name has several addresses, one of the attempts is as good as another.
  if (cause instanceof AggregateError) return messageOf(cause.errors[0], secrets);
  let text = String(cause);
  if (cause instanceof Error)
    text = cause.cause instanceof Error ? cause.cause.message : cause.message;
  if (text === '' && cause instanceof Error) text = cause.name;
  for (const secret of secrets) if (secret !== '') text = text.replaceAll(secret, '…');
  return text;
}

/** The code of a system error, such as ENOENT, or the name of a page's. */
export function codeOf(cause: unknown): string | undefined {
  if (!(cause instanceof Error)) return undefined;
  return 'code' in cause && typeof cause.code === 'string' ? cause.code : cause.name;
}
