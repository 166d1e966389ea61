import { checkRange, closedError, type ByteSource } from './byte-source.ts';

/** A source over bytes in memory. The bytes are not copied until they are read. */
export function bytesSource(
  bytes: ArrayBuffer | Uint8Array,
  label = 'bytes in memory',
): ByteSource {
  let held: Uint8Array | undefined = bytes instanceof Uint8Array ? bytes : new Uint8Array(bytes);
  return {
    label,
    size: held.byteLength,
    async read(offset, length, { signal } = {}) {
      signal?.throwIfAborted();
      if (!held) throw closedError(label);
      checkRange(this, offset, length);
      return new Uint8Array(held.subarray(offset, offset + length));
    },
    async close() {
      held = undefined;
    },
  };
}
