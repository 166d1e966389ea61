import { UsageError } from './errors.ts';

/**
 * The UTF-8 of a string, lone surrogates as U+FFFD; bytes as they are.
 *
 * @param doing The beginning of the message, such as `Reading the vocabulary v.txt`.
 * @throws UsageError if it is neither.
 */
export function toBytes(text: string | Uint8Array, doing: string): Uint8Array {
  if (typeof text === 'string') return new TextEncoder().encode(text);
  if (text instanceof Uint8Array) return text;
  throw new UsageError(
    `${doing}: found ${typeName(text)}, expected a string or a Uint8Array; convert it first.`,
  );
}

/** What a value is, for a message: the name of its class, or its type. */
export function typeName(value: unknown): string {
  if (value === null) return 'null';
  return typeof value === 'object' ? (value.constructor?.name ?? 'object') : typeof value;
}
