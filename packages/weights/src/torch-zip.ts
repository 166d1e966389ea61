import { FormatError } from '@rwkv-js/tensor';
import type { ByteSource, ReadOptions } from './byte-source.ts';
import { hasBytes, type Container, type ContainerContents } from './container.ts';
import { longestPickle, readPickle } from './pickle.ts';
import { quote } from './quote.ts';
import { storedTensors } from './torch-read.ts';
import { torchTensors, type TorchStorage } from './torch-tensors.ts';
import { openZip, type Zip, type ZipEntry } from './zip.ts';

/**
 * What torch.save writes since torch 1.6: a zip archive of stored entries, `X/data.pkl` with the
 * object and `X/data/<key>` with a storage each (torch/serialization.py, caffe2/serialize).
 */
export const torchZip: Container = {
  name: 'torch zip',
  recognises: (head) => hasBytes(head, 'PK\x03\x04') || hasBytes(head, 'PK\x05\x06'),
  open: openTorchZip,
};

async function openTorchZip(source: ByteSource, options: ReadOptions): Promise<ContainerContents> {
  const zip = await openZip(source, options);
  const pickle = findPickle(zip, source.label);
  const folder = pickle.name.slice(0, -'data.pkl'.length);
  await refuseBigEndian(source, zip, folder, options);
  const label = `${source.label} (${printable(pickle.name)})`;
  const at = await zip.contentOffset(pickle, options);
  if (pickle.size > longestPickle) {
    throw new FormatError(
      `Reading ${label}: the pickle has ${pickle.size} bytes, weight files need less than ` +
        `${longestPickle}.`,
    );
  }
  const bytes = await source.read(at, pickle.size, options);
  const { tensors, metadata } = torchTensors(readPickle(bytes, label).value, source.label);
  const entryOf = (storage: TorchStorage) => storageEntry(zip, folder, storage, source.label);
  for (const { storage } of tensors.values()) entryOf(storage);
  return {
    tensors: storedTensors(source, tensors, (storage, how) =>
      zip.contentOffset(entryOf(storage), how),
    ),
    metadata,
  };
}

function findPickle(zip: Zip, label: string): ZipEntry {
  const found = Array.from(zip.entries.values()).filter(({ name }) =>
    /^(?:[^/]+\/)?data\.pkl$/.test(name),
  );
  if (found.length === 1) return found[0];
  throw new FormatError(
    `Reading ${label} as a torch file: the zip archive holds ${found.length || 'no'} data.pkl, and ` +
      `one was expected; it is some other archive.`,
  );
}

async function refuseBigEndian(
  source: ByteSource,
  zip: Zip,
  folder: string,
  options: ReadOptions,
): Promise<void> {
  const entry = zip.entries.get(`${folder}byteorder`);
  if (!entry) return;
  const at = await zip.contentOffset(entry, options);
  const order = new TextDecoder().decode(await source.read(at, Math.min(entry.size, 16), options));
  if (order.trim() === 'little') return;
  throw new FormatError(
    `Reading ${source.label} as a torch file: its byte order is ${quote(order)}, and only little-endian ` +
      `files can be read; save it again on a little-endian machine.`,
  );
}

function storageEntry(zip: Zip, folder: string, storage: TorchStorage, label: string): ZipEntry {
  const name = `${folder}data/${storage.key}`;
  const entry = zip.entries.get(name);
  if (!entry) {
    throw new FormatError(
      `Reading ${label} as a torch file: a tensor lies in the entry ${quote(name)}, which the ` +
        `archive does not have.`,
    );
  }
  if (entry.problem !== undefined) {
    throw new FormatError(
      `Reading ${label} as a torch file: its entry ${quote(name)} ${entry.problem}, and only stored ` +
        `entries can be read; save the file again with torch.save.`,
    );
  }
  const bytes = (storage.count * storage.type.bits) / 8;
  if (!Number.isSafeInteger(bytes) || bytes > entry.size) {
    throw new FormatError(
      `Reading ${label} as a torch file: its entry ${quote(name)} has ${entry.size} bytes, and ` +
        `${storage.count} elements of ${storage.type.name} take more.`,
    );
  }
  return entry;
}

/** An entry's name as it stands where it is harmless. */
const printable = (name: string): string => (/^[\w./ -]{1,80}$/.test(name) ? name : quote(name));
