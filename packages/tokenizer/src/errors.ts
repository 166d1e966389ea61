/**
 * The two errors of this package. They carry the names of the family's errors, so callers tell
 * them apart by `error.name`, but they are defined here: the tokenizer imports nothing, and can be
 * used alone. Each message is one sentence: what was being done to what, what was found, what was
 * expected, what to do.
 */

/** A vocabulary file does not follow its format. */
export class FormatError extends Error {
  override readonly name = 'FormatError';
}

/** A call that cannot be carried out as it was made. It changes nothing. */
export class UsageError extends Error {
  override readonly name = 'UsageError';
}
