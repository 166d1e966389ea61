import {
  FormatError,
  UsageError,
  type Shape,
  type WeightEntry,
  type WeightSource,
} from '@rwkv-js/tensor';
import { closedError, type ByteSource, type ReadOptions } from './byte-source.ts';
import { hasBytes, headBytes, type StoredTensor } from './container.ts';
import { containers } from './containers.ts';
import { nearNames } from './near-names.ts';
import { openSource, type WeightInput } from './open-source.ts';
import { joinPacked } from './packed-tensors.ts';
import { stripPrefixes } from './prefixes.ts';
import { quote } from './quote.ts';
import { refusalFor } from './refusals.ts';

/** A tensor that a file holds and that cannot be read, since no dtype of the family fits it. */
export interface UnsupportedEntry {
  /** As safetensors names it: `I64`, `F64`, `BOOL`. */
  readonly elementType: string;
  readonly shape: Shape;
}

/** Weights of a file. */
export interface OpenedWeights extends WeightSource {
  /** The file format: `safetensors`, `torch zip`, `torch legacy`. */
  readonly container: string;
  /** Tensors that are in the file and not in `tensors`; reading one is a FormatError. */
  readonly unsupported: ReadonlyMap<string, UnsupportedEntry>;
}

/**
 * Opens a weight file: safetensors, or what torch.save writes. The format is told by the file's
 * content, whatever its name. Only the header is read here; each tensor is read by ranges when asked
 * for. Nothing in a file is ever executed. Prefixes that wrappers put before all names
 * (`_forward_module.`, `model.`, `module.`) are taken off.
 *
 * @param input a path (Node), an address as text or URL, a Blob or File, or bytes, which must stay
 * as they are until `close`.
 * @throws UsageError when there is no such file; FormatError when it is no weight file, or a damaged
 * one, or asks for code to be run; AbortError when `signal` is aborted.
 */
export async function openWeights(
  input: WeightInput,
  options: ReadOptions = {},
): Promise<OpenedWeights> {
  const source = await openSource(input, options);
  try {
    return await readWeights(source, options);
  } catch (error) {
    await source.close();
    throw error;
  }
}

async function readWeights(source: ByteSource, options: ReadOptions): Promise<OpenedWeights> {
  const head = await source.read(0, Math.min(headBytes, source.size), options);
  const container = containers.find(({ recognises }) => recognises(head));
  if (!container) throw unreadable(source, head);
  const contents = await container.open(source, options);
  const tensors = new Map<string, WeightEntry>();
  const unsupported = new Map<string, UnsupportedEntry>();
  const stored = stripPrefixes(joinPacked(contents.tensors, source.label));
  for (const [name, { type, shape }] of stored) {
    if (type.dtype) tensors.set(name, { dtype: type.dtype, shape });
    else unsupported.set(name, { elementType: type.name, shape });
  }
  let closed = false;
  return {
    label: source.label,
    container: container.name,
    tensors,
    unsupported,
    metadata: contents.metadata,
    async read(name, how = {}) {
      how.signal?.throwIfAborted();
      if (closed) throw closedError(source.label);
      return readable(name, stored, source.label).read(how);
    },
    close() {
      closed = true;
      return source.close();
    },
  };
}

function readable(
  name: string,
  stored: ReadonlyMap<string, StoredTensor>,
  label: string,
): StoredTensor {
  const tensor = stored.get(name);
  if (!tensor) {
    const near = nearNames(name, stored.keys()).map(quote).join(', ');
    throw new UsageError(
      `Reading ${label}: it has no tensor ${quote(name)}${near && `; the nearest names are ${near}`}.`,
    );
  }
  if (!tensor.type.dtype) {
    throw new FormatError(
      `Reading ${label}: tensor ${quote(name)} has elements of ${tensor.type.name}, and F32, F16, ` +
        `BF16, I32 and U32 can be read; convert it.`,
    );
  }
  return tensor;
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
    `${where}: its first bytes (${hex}, as text ${text}) are those of no weight file; safetensors ` +
      `and .pth files can be read.`,
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
