import type { Shape } from '@rwkv-js/tensor';
import type { BlockFormat } from './blocks/block-format.ts';
import { allocate, type ByteSource } from './byte-source.ts';
import type { StoredTensor } from './container.ts';
import { safeElementCount } from './element-type.ts';

/** About how many bytes of blocks are held at a time while they become numbers. */
const bytesAtATime = 4 * 1024 * 1024;

/**
 * Bytes that a tensor of blocks takes in a file; undefined where its rows are no whole blocks, or it is
 * too large to be read.
 */
export function blockBytes({ elements, bytes }: BlockFormat, shape: Shape): number | undefined {
  const count = safeElementCount(shape);
  if (count === undefined || !Number.isSafeInteger(count * 4)) return undefined;
  return (shape.at(-1) ?? 1) % elements === 0 ? (count / elements) * bytes : undefined;
}

/**
 * A quantised tensor whose blocks begin at byte `offset` of the file. Reading makes f32 of it, a few
 * megabytes at a time.
 *
 * @param length its bytes, as {@link blockBytes} says.
 */
export function quantisedTensor(
  source: ByteSource,
  format: BlockFormat,
  shape: Shape,
  offset: number,
  length: number,
): StoredTensor {
  return {
    type: { name: format.name, dtype: 'f32' },
    shape,
    async read(options) {
      const count = (length / format.bytes) * format.elements;
      const bytes = allocate(source.label, count * 4);
      const values = new Float32Array(bytes.buffer);
      const piece = Math.floor(bytesAtATime / format.bytes) * format.bytes;
      for (let at = 0; at < length; at += piece) {
        const size = Math.min(piece, length - at);
        const blocks = await source.read(offset + at, size, options);
        const from = (at / format.bytes) * format.elements;
        const part = values.subarray(from, from + (size / format.bytes) * format.elements);
        format.decode(blocks, part);
      }
      return bytes;
    },
    blocks: { format, read: (options) => source.read(offset, length, options) },
  };
}
