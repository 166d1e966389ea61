import { FormatError } from '@rwkv-js/tensor';
import { elementType, safeElementCount, type PlainElementType } from './element-type.ts';
import {
  PickleCall,
  PickleDict,
  PickleGlobal,
  PicklePersistent,
  type PickleValue,
} from './pickle-values.ts';
import { quote } from './quote.ts';
import { spanOf, type StridedView } from './strided.ts';

/** A storage as a torch pickle refers to it. */
export interface TorchStorage {
  /** Name of the storage in the file. */
  readonly key: string;
  readonly type: PlainElementType;
  /** Elements that the storage holds. */
  readonly count: number;
}

/** A tensor: a view of a storage. The view is known to lie inside the storage. */
export interface TorchTensor {
  readonly storage: TorchStorage;
  readonly view: StridedView;
}

/** What the object of a torch file holds. */
export interface TorchObject {
  readonly tensors: ReadonlyMap<string, TorchTensor>;
  readonly metadata: ReadonlyMap<string, string>;
}

const storageTypes = new Map<string, PlainElementType>(
  Object.entries({
    Float: 'F32',
    Half: 'F16',
    BFloat16: 'BF16',
    Double: 'F64',
    Long: 'I64',
    Int: 'I32',
    Short: 'I16',
    Char: 'I8',
    Byte: 'U8',
    Bool: 'BOOL',
  }).map(([torch, name]) => [`torch.${torch}Storage`, elementType(name)]),
);

/** Text longer than this is no metadata. */
const longestMetadata = 1000;

/** torch allows 64 axes, and no tensor of a model has more than five. */
const mostAxes = 64;

/**
 * The tensors of a pickled dictionary, checked against their storages. Takes the dictionary under
 * `state_dict` or `model`, where trainers keep it, instead of the outer one; keeps short texts and numbers beside the tensors as
 * metadata; ignores everything else (optimizer states, nested dictionaries).
 *
 * @throws FormatError when the object is no dictionary with tensors, or a tensor does not fit its storage.
 */
export function torchTensors(object: PickleValue, label: string): TorchObject {
  const where = `Reading ${label}`;
  if (!(object instanceof PickleDict)) {
    throw new FormatError(
      `${where}: the file holds ${describe(object)}, a dictionary of named tensors was expected.`,
    );
  }
  const metadata = new Map<string, string>();
  const tensors = new Map<string, TorchTensor>();
  const storages = new Map<string, TorchStorage>();
  collectMetadata(object, metadata);
  const dict = innerDict(object) ?? object;
  if (dict !== object) collectMetadata(dict, metadata);
  for (const [key, value] of dict) {
    const call = tensorCall(value);
    if (!call) continue;
    if (typeof key !== 'string') {
      throw new FormatError(
        `${where}: a tensor has ${describe(key)} for its name, text was expected.`,
      );
    }
    tensors.set(key, tensorOf(call, storages, `${where}: tensor ${quote(key)}`));
  }
  if (tensors.size === 0) {
    const keys = Array.from(dict.keys()).slice(0, 5).map(describe).join(', ');
    throw new FormatError(
      `${where}: its dictionary holds no tensor by name (its keys are ${keys || 'none'}); save the ` +
        `state_dict itself.`,
    );
  }
  return { tensors, metadata };
}

function innerDict(object: PickleDict): PickleDict | undefined {
  for (const key of ['state_dict', 'model']) {
    const inner = object.get(key);
    if (inner instanceof PickleDict) return inner;
  }
  return undefined;
}

/** Every storage that a pickle refers to, also from where tensors are ignored; by key. */
export function torchStorages(
  references: readonly PicklePersistent[],
  label: string,
): Map<string, TorchStorage> {
  const storages = new Map<string, TorchStorage>();
  for (const reference of references) {
    storageOf(reference, storages, `Reading ${label}: a tensor`);
  }
  return storages;
}

function collectMetadata(dict: PickleDict, metadata: Map<string, string>): void {
  for (const [key, value] of dict) {
    if (typeof key !== 'string' || key.length > longestMetadata) continue;
    if (typeof value === 'string') {
      if (value.length <= longestMetadata) metadata.set(key, value);
    } else if (typeof value === 'number' || typeof value === 'boolean') {
      metadata.set(key, String(value));
    }
  }
}

/** The call that rebuilds a tensor, taken out of its Parameter where it is in one. */
function tensorCall(value: PickleValue): PickleCall | undefined {
  if (!(value instanceof PickleCall)) return undefined;
  const parameter =
    value.name === 'torch._utils._rebuild_parameter' ||
    value.name === 'torch._utils._rebuild_parameter_with_state';
  // Once only: a Parameter in a Parameter is nothing that torch makes, and could be a cycle.
  const call = parameter ? value.args[0] : value;
  if (!(call instanceof PickleCall)) return undefined;
  const rebuilds =
    call.name === 'torch._utils._rebuild_tensor' || call.name === 'torch._utils._rebuild_tensor_v2';
  return rebuilds ? call : undefined;
}

function tensorOf(
  call: PickleCall,
  storages: Map<string, TorchStorage>,
  where: string,
): TorchTensor {
  const [reference, offset, size, stride] = call.args;
  const { storage, start, available } = storageOf(reference, storages, where);
  const shape = counts(size);
  const strides = counts(stride);
  if (!isCount(offset) || !shape || !strides || shape.length !== strides.length) {
    throw new FormatError(
      `${where}: its offset, size or strides are negative, no whole numbers, or do not fit each ` +
        `other.`,
    );
  }
  const count = safeElementCount(shape);
  const span = spanOf({ offset, shape, strides });
  if (!Number.isSafeInteger(span) || span > available - offset) {
    throw new FormatError(
      `${where}: it reaches up to element ${offset + span} of a storage that has ${available}.`,
    );
  }
  // Stride 0 repeats elements for free, so a small file could ask for any amount of memory.
  if (count === undefined || count > available) {
    throw new FormatError(
      `${where}: its shape [${shape.slice(0, 8).join(', ')}] has more elements than its storage, ` +
        `which has ${available}.`,
    );
  }
  return { storage, view: { offset: start + offset, shape, strides } };
}

/**
 * The storage of a persistent id `('storage', class, key, location, numel)`, with a sixth
 * `(view key, offset, size)` in legacy files whose storages could be views of others.
 */
function storageOf(
  reference: PickleValue | undefined,
  storages: Map<string, TorchStorage>,
  where: string,
) {
  const id = reference instanceof PicklePersistent ? reference.id : undefined;
  const [tag, kind, key, , count, part] = Array.isArray(id) ? id : [];
  if (tag !== 'storage' || typeof key !== 'string' || !isCount(count)) {
    throw new FormatError(`${where}: it refers to no storage as torch writes them.`);
  }
  const name = kind instanceof PickleGlobal ? kind.name : undefined;
  const type = name === undefined ? undefined : storageTypes.get(name);
  if (!type) {
    throw new FormatError(
      `${where}: its storage is of the class ${name ?? 'unknown'}, whose element type is not told.`,
    );
  }
  const storage = storages.get(key) ?? { key, type, count };
  storages.set(key, storage);
  if (storage.type !== type || storage.count !== count) {
    throw new FormatError(
      `${where}: its storage ${quote(key)} is ${type.name} [${count}] here and ` +
        `${storage.type.name} [${storage.count}] elsewhere.`,
    );
  }
  if (!Array.isArray(part)) return { storage, start: 0, available: count };
  const [, start, available] = part;
  if (!isCount(start) || !isCount(available) || available > count - start) {
    throw new FormatError(`${where}: its part of storage ${quote(key)} lies outside of it.`);
  }
  return { storage, start, available };
}

function isCount(value: PickleValue | undefined): value is number {
  return typeof value === 'number' && Number.isSafeInteger(value) && value >= 0;
}

function counts(value: PickleValue | undefined): number[] | undefined {
  if (!Array.isArray(value) || value.length > mostAxes) return undefined;
  return value.every(isCount) ? value : undefined;
}

/** A few words for a value, for errors; never walks into it. */
function describe(value: PickleValue): string {
  if (value === null) return 'None';
  if (typeof value === 'string') return quote(value);
  if (typeof value === 'object') {
    if (Array.isArray(value)) return `a list of ${value.length}`;
    if (value instanceof PickleDict) return 'a dictionary';
    if (value instanceof Uint8Array) return 'bytes';
    return tensorCall(value) ? 'a single tensor' : 'an object';
  }
  return String(value);
}
