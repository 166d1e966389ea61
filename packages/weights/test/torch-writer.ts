import { Call, Global, Persistent, pickle, Tuple, type Picklable } from './pickle-writer.ts';
import { Bytes, zip, type EntryToZip, type ZipOptions } from './zip-writer.ts';

/** Writes files as torch.save does, in both its formats. */

export interface Storage {
  readonly key: string;
  /** `Float`, `BFloat16`, `Long`, … */
  readonly kind: string;
  readonly bytes: Uint8Array;
  /** Elements. */
  readonly count: number;
}

export interface Tensor {
  readonly name: string;
  readonly storage: Storage;
  readonly offset: number;
  readonly shape: readonly number[];
  readonly strides: readonly number[];
}

export const orderedDict = new Global('collections', 'OrderedDict');
const rebuildTensor = new Global('torch._utils', '_rebuild_tensor_v2');
const rebuildParameter = new Global('torch._utils', '_rebuild_parameter');

/** Row-major strides of a shape. */
export function rowMajor(shape: readonly number[]): number[] {
  const strides: number[] = [];
  let stride = 1;
  for (let axis = shape.length - 1; axis >= 0; axis--) {
    strides[axis] = stride;
    stride *= shape[axis];
  }
  return strides;
}

/** A tensor as the pickle holds it. Legacy files add `None` to the id of its storage. */
export function tensorValue(tensor: Tensor, legacy = false): Call {
  const { storage, offset, shape, strides } = tensor;
  const kind = new Global('torch', `${storage.kind}Storage`);
  const id = ['storage', kind, storage.key, 'cpu', storage.count];
  return new Call(
    rebuildTensor,
    new Tuple(
      new Persistent(new Tuple(...id, ...(legacy ? [null] : []))),
      offset,
      new Tuple(...shape),
      new Tuple(...strides),
      false,
      new Call(orderedDict, new Tuple()),
    ),
  );
}

/** The tensor as an nn.Parameter. */
export function parameterValue(tensor: Tensor): Call {
  return new Call(
    rebuildParameter,
    new Tuple(tensorValue(tensor), true, new Call(orderedDict, new Tuple())),
  );
}

/** `{name: tensor}`, as a plain or an ordered dictionary. */
export function stateDict(
  tensors: readonly Tensor[],
  { ordered = false, legacy = false } = {},
): Picklable {
  const dict = new Map<Picklable, Picklable>(
    tensors.map((tensor) => [tensor.name, tensorValue(tensor, legacy)]),
  );
  return ordered ? new Call(orderedDict, new Tuple(), dict) : dict;
}

export interface TorchZipOptions extends ZipOptions {
  readonly folder?: string;
  /** Entries beside those that torch writes. */
  readonly more?: readonly EntryToZip[];
}

/** A file in the zip format around an object. */
export function torchZip(
  object: Picklable | Uint8Array,
  storages: readonly Storage[],
  { folder = 'archive', more = [], ...options }: TorchZipOptions = {},
): Uint8Array {
  return zip(
    [
      {
        name: `${folder}/data.pkl`,
        bytes: object instanceof Uint8Array ? object : pickle(object),
      },
      ...storages.map(({ key, bytes }) => ({ name: `${folder}/data/${key}`, bytes })),
      { name: `${folder}/version`, bytes: new TextEncoder().encode('3\n') },
      ...more,
    ],
    options,
  );
}

/** A file in the legacy format around an object; storages in the order that they are to have. */
export function torchLegacy(
  object: Picklable,
  storages: readonly Storage[],
  { littleEndian = true } = {},
): Uint8Array {
  const sizes = new Map<Picklable, Picklable>([
    ['short', 2],
    ['int', 4],
    ['long', 4],
  ]);
  const machine = new Map<Picklable, Picklable>([
    ['protocol_version', 1001],
    ['little_endian', littleEndian],
    ['type_sizes', sizes],
  ]);
  const file = new Bytes()
    .bytes(pickle(119547037146038801333356n))
    .bytes(pickle(1001))
    .bytes(pickle(machine))
    .bytes(pickle(object))
    .bytes(pickle(storages.map(({ key }) => key)));
  for (const { count, bytes } of storages) file.u64(count).bytes(bytes);
  return file.take();
}
