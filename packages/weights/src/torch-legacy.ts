import { FormatError } from '@rwkv-js/tensor';
import type { ByteSource, ReadOptions } from './byte-source.ts';
import { hasBytes, type Container, type ContainerContents } from './container.ts';
import { longestPickle, PickleCutError, readPickle, type PickleResult } from './pickle.ts';
import { PickleDict, type PickleValue } from './pickle-values.ts';
import { quote } from './quote.ts';
import { storedTensors } from './torch-read.ts';
import { torchStorages, torchTensors, type TorchStorage } from './torch-tensors.ts';

/** PROTO 2, LONG1 of ten bytes: 0x1950a86a20f9469cfc6c, STOP. */
const magic = [
  0x80, 0x02, 0x8a, 0x0a, 0x6c, 0xfc, 0x9c, 0x46, 0xf9, 0x20, 0x6a, 0xa8, 0x50, 0x19, 0x2e,
];

const protocolVersion = 1001;

/** Bytes of the element count that stands before every storage. */
const countBytes = 8;

/** How many element counts are looked up at a time. */
const parallelReads = 16;

/**
 * What torch.save wrote before torch 1.6: five pickles (magic, protocol, machine, object, storage
 * keys), then the storages, each with its element count before it (torch/serialization.py).
 */
export const torchLegacy: Container = {
  name: 'torch legacy',
  recognises: (head) => hasBytes(head, magic),
  open: openTorchLegacy,
};

async function openTorchLegacy(
  source: ByteSource,
  options: ReadOptions,
): Promise<ContainerContents> {
  const { object, storages, keys, end } = await readPickles(source, options);
  const { tensors, metadata } = torchTensors(object, source.label);
  const offsets = layOut(storages, keys, end, source);
  await checkCounts(offsets, source, options);
  return {
    tensors: storedTensors(source, tensors, async ({ key }) => offsets.get(key)?.offset ?? NaN),
    metadata,
  };
}

interface LegacyPickles {
  readonly object: PickleValue;
  /** Every storage that the object refers to, by key. */
  readonly storages: ReadonlyMap<string, TorchStorage>;
  readonly keys: PickleValue;
  /** First byte after the pickles. */
  readonly end: number;
}

/** Pickles do not tell their length, so more and more of the file is read until they end in it. */
async function readPickles(source: ByteSource, options: ReadOptions): Promise<LegacyPickles> {
  for (let length = 1024 * 1024; ; length *= 4) {
    const bytes = await source.read(0, Math.min(length, source.size), options);
    try {
      return parsePickles(bytes, source.label);
    } catch (error) {
      if (!(error instanceof PickleCutError) || length >= source.size) throw error;
      if (length < longestPickle) continue;
      throw new FormatError(
        `Reading ${source.label}: its pickles take more than ${longestPickle} bytes, weight files ` +
          `need less.`,
        { cause: error },
      );
    }
  }
}

function parsePickles(bytes: Uint8Array, label: string): LegacyPickles {
  let end = 0;
  const next = (what: string): PickleResult => {
    const result = readPickle(bytes, `${label} (${what})`, end);
    end = result.end;
    return result;
  };
  next('magic');
  const protocol = next('protocol').value;
  if (protocol !== protocolVersion) {
    throw new FormatError(
      `Reading ${label} as a legacy torch file: its protocol is not ${protocolVersion}.`,
    );
  }
  const machine = next('machine').value;
  if (machine instanceof PickleDict && machine.get('little_endian') === false) {
    throw new FormatError(
      `Reading ${label} as a legacy torch file: it is big-endian, and only little-endian files can be ` +
        `read; save it again on a little-endian machine.`,
    );
  }
  const object = next('object');
  const keys = next('storage keys').value;
  return { object: object.value, storages: torchStorages(object.references, label), keys, end };
}

interface StoragePlace {
  readonly storage: TorchStorage;
  /** First byte of its elements. */
  readonly offset: number;
}

/** Where every storage lies: in the order of the keys, end to end, up to the end of the file. */
function layOut(
  storages: ReadonlyMap<string, TorchStorage>,
  keys: PickleValue,
  start: number,
  source: ByteSource,
): Map<string, StoragePlace> {
  const where = `Reading ${source.label} as a legacy torch file`;
  if (!Array.isArray(keys)) throw new FormatError(`${where}: its list of storages is no list.`);
  const places = new Map<string, StoragePlace>();
  let at = start;
  for (const key of keys) {
    const storage = typeof key === 'string' ? storages.get(key) : undefined;
    if (!storage) {
      throw new FormatError(
        `${where}: the storage ${typeof key === 'string' ? quote(key) : ''} belongs to no tensor, so its ` +
          `length is not known.`,
      );
    }
    if (places.has(storage.key)) {
      throw new FormatError(`${where}: the storage ${quote(storage.key)} is listed twice.`);
    }
    const bytes = (storage.count * storage.type.bits) / 8;
    if (bytes > source.size - at - countBytes) {
      throw new FormatError(
        `${where}: storage ${quote(storage.key)} should have ${storage.count} elements of ` +
          `${storage.type.name}, and the file ends before; it is cut short.`,
      );
    }
    places.set(storage.key, { storage, offset: at + countBytes });
    at += countBytes + bytes;
  }
  for (const key of storages.keys()) {
    if (places.has(key)) continue;
    throw new FormatError(
      `${where}: a tensor lies in the storage ${quote(key)}, which is not there.`,
    );
  }
  if (at !== source.size) {
    throw new FormatError(`${where}: ${source.size - at} bytes follow its last storage.`);
  }
  return places;
}

/** The count before each storage must be that of the references to it. */
async function checkCounts(
  places: ReadonlyMap<string, StoragePlace>,
  source: ByteSource,
  options: ReadOptions,
): Promise<void> {
  const waiting = places.values();
  const check = async () => {
    for (const { storage, offset } of waiting) {
      const bytes = await source.read(offset - countBytes, countBytes, options);
      const count = new DataView(bytes.buffer).getBigInt64(0, true);
      if (count !== BigInt(storage.count)) {
        throw new FormatError(
          `Reading ${source.label} as a legacy torch file: storage ${quote(storage.key)} says it has ` +
            `${count} elements, and its tensors say ${storage.count}.`,
        );
      }
    }
  };
  await Promise.all(Array.from({ length: parallelReads }, check));
}
