import { FormatError } from '@rwkv-js/tensor';
import { allocate, type ByteSource, type ReadOptions } from './byte-source.ts';
import type { StoredTensor } from './container.ts';
import { safeElementCount } from './element-type.ts';
import { gather, isContiguous, spanOf } from './strided.ts';
import type { TorchStorage, TorchTensor } from './torch-tensors.ts';

/** First byte of a storage's elements in the file; may have to be looked up there. */
export type LocateStorage = (storage: TorchStorage, options: ReadOptions) => Promise<number>;

/** Tensors of a torch file as ranges of it. Views that are not row-major are made so when read. */
export function storedTensors(
  source: ByteSource,
  tensors: ReadonlyMap<string, TorchTensor>,
  locate: LocateStorage,
): ReadonlyMap<string, StoredTensor> {
  return new Map(
    Array.from(tensors, ([name, tensor]) => [
      name,
      {
        type: tensor.storage.type,
        shape: tensor.view.shape,
        read: (options: ReadOptions) => readView(source, tensor, locate, options),
      },
    ]),
  );
}

async function readView(
  source: ByteSource,
  { storage, view }: TorchTensor,
  locate: LocateStorage,
  options: ReadOptions,
): Promise<Uint8Array> {
  const elementBytes = storage.type.bits / 8;
  const start = await locate(storage, options);
  const span = await source.read(
    start + view.offset * elementBytes,
    spanOf(view) * elementBytes,
    options,
  );
  if (isContiguous(view)) return span;
  const count = safeElementCount(view.shape) ?? 0;
  const result = allocate(source.label, count * elementBytes);
  if (elementBytes === 2)
    gather(new Uint16Array(span.buffer), view, new Uint16Array(result.buffer));
  else if (elementBytes === 4) {
    gather(new Uint32Array(span.buffer), view, new Uint32Array(result.buffer));
  } else {
    throw new FormatError(`Reading ${source.label}: views of ${storage.type.name} cannot be read.`);
  }
  return result;
}
