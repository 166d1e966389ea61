import { FormatError } from '@rwkv-js/tensor';
import type { ByteSource, ReadOptions } from './byte-source.ts';
import { hasBytes, headBytes, type ContainerContents } from './container.ts';
import { containers } from './containers.ts';
import { quote } from './quote.ts';
import { refusalFor } from './refusals.ts';

/** A file whose format was told by its content, and whose header was read. */
export interface OpenedContainer {
  /** Name of the format. */
  readonly container: string;
  readonly contents: ContainerContents;
}

/** The first bytes of a file, by which its format is told. */
export function readHead(source: ByteSource, options: ReadOptions): Promise<Uint8Array> {
  return source.read(0, Math.min(headBytes, source.size), options);
}

/**
 * Reads the header of a weight file in any of the formats.
 *
 * @throws FormatError for a file that is none, which says what it is where that is known.
 */
export async function openContainer(
  source: ByteSource,
  head: Uint8Array,
  options: ReadOptions,
): Promise<OpenedContainer> {
  const container = containers.find(({ recognises }) => recognises(head));
  if (!container) throw unreadable(source, head);
  return { container: container.name, contents: await container.open(source, options) };
}

function unreadable(source: ByteSource, head: Uint8Array): FormatError {
  const where = `Opening ${source.label}`;
  if (source.size === 0) {
    return new FormatError(`${where}: the file is empty; download or copy it again.`);
  }
  const says = refusalFor(head);
  if (says !== undefined) return new FormatError(`${where}: the file is ${says}.`);
  const length = absurdHeaderLength(source, head);
  if (length !== undefined) {
    return new FormatError(
      `${where}: read as safetensors, its header should take ${length} bytes, and the file has ` +
        `${source.size}; it is damaged or no safetensors file, download or copy it again.`,
    );
  }
  const first = head.subarray(0, 16);
  const hex = Array.from(first, (byte) => byte.toString(16).padStart(2, '0')).join(' ');
  const text = quote(new TextDecoder('latin1').decode(first));
  return new FormatError(
    `${where}: its first bytes (${hex}, as text ${text}) are those of no weight file; safetensors, ` +
      `.pth, GGUF and rwkv.cpp files can be read.`,
  );
}

/**
 * The header length of a file that seems meant as safetensors, by its name or by JSON where the
 * header begins; undefined when the file is as long as that or seems meant as something else.
 */
function absurdHeaderLength({ label, size }: ByteSource, head: Uint8Array): bigint | undefined {
  if (head.length < 8 || !(label.endsWith('.safetensors') || hasBytes(head, '{', 8))) {
    return undefined;
  }
  const length = new DataView(head.buffer, head.byteOffset).getBigUint64(0, true);
  return length > BigInt(size) ? length : undefined;
}
