/** The code of a system error, such as ENOENT. */
export function codeOf(cause: unknown): string | undefined {
  return cause instanceof Error && 'code' in cause && typeof cause.code === 'string'
    ? cause.code
    : undefined;
}

/** A few words for what the system said. */
export function reasonOf(cause: unknown): string {
  return codeOf(cause) ?? (cause instanceof Error ? cause.message : String(cause));
}

/** True under Node, where paths mean something. */
export const hasPaths = (): boolean => typeof process !== 'undefined' && !!process.versions?.node;
