/**
 * The errors of the family. Each message is one sentence: what was being done to what, what was
 * found, what was expected, what to do. Cancelling is the platform's AbortError.
 */

/** A file, header or vocabulary does not follow its format. */
export class FormatError extends Error {
  override readonly name = 'FormatError';
}

/** Shapes or dtypes that do not fit the operation they are given to. */
export class ShapeError extends Error {
  override readonly name = 'ShapeError';
}

/** The device failed: out of memory, lost, or a kernel that cannot run. It sticks to the queue. */
export class DeviceError extends Error {
  override readonly name = 'DeviceError';
}

/** A call that cannot be carried out as it was made. Found before anything is queued; changes nothing. */
export class UsageError extends Error {
  override readonly name = 'UsageError';
}
