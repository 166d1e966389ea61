import {
  byteLength,
  elementCount,
  isPacked,
  UsageError,
  type DType,
  type PlainDType,
  type Shape,
} from '@rwkv-js/tensor';
import { packedParts } from './packed-tensors.ts';
import { quote } from './quote.ts';
import type { FileLayout } from './write-parts.ts';

/** Name, dtype and shape of a tensor to be written. */
export interface TensorToWrite {
  readonly name: string;
  readonly dtype: DType;
  readonly shape: Shape;
}

const dtypeNames: Record<PlainDType, string> = {
  f32: 'F32',
  f16: 'F16',
  bf16: 'BF16',
  i32: 'I32',
  u32: 'U32',
};

/**
 * Lays out a file as the reference writer does: tensors by descending element size, then by name;
 * the header padded with spaces so that the data begins at a multiple of eight. A packed tensor is two
 * of the file's, quants and scales, one right after the other (packed-tensors.ts).
 *
 * @throws UsageError for a name that comes twice or is `__metadata__`, and for sizes that are not
 * whole numbers.
 */
export function layoutSafetensors(
  tensors: readonly TensorToWrite[],
  metadata: ReadonlyMap<string, string>,
): FileLayout {
  const parts: string[] = [];
  if (metadata.size > 0) {
    const fields = Array.from(metadata, ([key, value]) => jsonField(key, JSON.stringify(value)));
    parts.push(jsonField('__metadata__', `{${fields.join(',')}}`));
  }
  const places = new Map<string, { offset: number; length: number }>();
  let end = 0;
  for (const tensor of tensors.toSorted(inFileOrder)) {
    checkTensor(tensor);
    if (places.has(tensor.name)) {
      throw new UsageError(`Writing safetensors: two tensors are named ${quote(tensor.name)}.`);
    }
    const length = byteLength(tensor);
    places.set(tensor.name, { offset: end, length });
    for (const { name, dtype, shape, bytes } of storedParts(tensor)) {
      const entry = { dtype, shape, data_offsets: [end, end + bytes] };
      parts.push(jsonField(name, JSON.stringify(entry)));
      end += bytes;
    }
  }
  const header = encodeHeader(`{${parts.join(',')}}`);
  for (const place of places.values()) place.offset += header.length;
  return { header, ranges: places, size: header.length + end };
}

/** The entries of the file's header that a tensor takes. */
function storedParts(
  tensor: TensorToWrite,
): readonly { name: string; dtype: string; shape: Shape; bytes: number }[] {
  const { name, dtype, shape } = tensor;
  if (isPacked(dtype)) return packedParts(name, { dtype, shape });
  return [{ name, dtype: dtypeNames[dtype], shape, bytes: byteLength(tensor) }];
}

function encodeHeader(json: string): Uint8Array {
  const text = new TextEncoder().encode(json);
  const length = Math.ceil(text.length / 8) * 8;
  const header = new Uint8Array(8 + length).fill(0x20);
  new DataView(header.buffer).setBigUint64(0, BigInt(length), true);
  header.set(text, 8);
  return header;
}

const jsonField = (key: string, json: string): string => `${JSON.stringify(key)}:${json}`;

function inFileOrder(a: TensorToWrite, b: TensorToWrite): number {
  const bySize = elementBytes(b.dtype) - elementBytes(a.dtype);
  if (bySize !== 0) return bySize;
  return a.name < b.name ? -1 : a.name > b.name ? 1 : 0;
}

/** A packed tensor's scales are what needs alignment, and f16. */
function elementBytes(dtype: DType): number {
  return isPacked(dtype) ? 2 : byteLength({ dtype, shape: [] });
}

function checkTensor({ name, shape }: TensorToWrite): void {
  if (name === '__metadata__') {
    throw new UsageError('Writing safetensors: no tensor may be named __metadata__.');
  }
  const whole = shape.every((size) => Number.isSafeInteger(size) && size >= 0);
  if (!whole || elementCount(shape) > Number.MAX_SAFE_INTEGER / 8) {
    throw new UsageError(
      `Writing safetensors: tensor ${quote(name)} has the shape [${shape.join(', ')}]; sizes must ` +
        `be whole numbers from 0 on.`,
    );
  }
}
