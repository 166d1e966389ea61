import { FormatError } from '@rwkv-js/tensor';
import {
  allocate,
  checkRange,
  closedError,
  pieces,
  shortReadError,
  type ByteSource,
} from './byte-source.ts';

/** A source over a Blob or File, such as one that a page's file input gives; read by slices. */
export function blobSource(blob: Blob): ByteSource {
  const label = 'name' in blob && typeof blob.name === 'string' ? blob.name : 'a blob';
  let held: Blob | undefined = blob;
  return {
    label,
    size: blob.size,
    async read(offset, length, { signal } = {}) {
      signal?.throwIfAborted();
      checkRange(this, offset, length);
      const result = allocate(label, length);
      for (const piece of pieces(offset, length)) {
        if (!held) throw closedError(label);
        const part = await slice(held, piece.offset, piece.length);
        signal?.throwIfAborted();
        result.set(part, piece.at);
      }
      return result;
    },
    async close() {
      held = undefined;
    },
  };

  async function slice(from: Blob, offset: number, length: number): Promise<Uint8Array> {
    let buffer: ArrayBuffer;
    try {
      buffer = await from.slice(offset, offset + length).arrayBuffer();
    } catch (cause) {
      throw new FormatError(
        `Reading ${label}: the file behind it can no longer be read (it was moved, changed or its ` +
          `permission ended); choose it again.`,
        { cause },
      );
    }
    if (buffer.byteLength !== length) {
      throw shortReadError(label, offset, buffer.byteLength, length);
    }
    return new Uint8Array(buffer);
  }
}
