import { encodeSafetensors } from '../src/index.ts';
import {
  rowMajor,
  stateDict,
  torchLegacy,
  torchZip,
  type Storage,
  type Tensor,
} from './torch-writer.ts';

/** The tensors of the fixture files, in the order that the torch files have them. */
export const fixtureTensors = [
  { name: 'emb.weight', shape: [6, 4] },
  { name: 'blocks.0.ln1.weight', shape: [4] },
  { name: 'blocks.0.ln1.bias', shape: [4] },
  { name: 'blocks.0.att.r_k', shape: [2, 2] },
  { name: 'blocks.0.att.key.weight', shape: [5, 4] },
  { name: 'blocks.0.att.x_r', shape: [1, 1, 4] },
  { name: 'scale', shape: [] },
] as const;

/** Element `i` of tensor `t`: a quarter of a small whole number, exact in every float type. */
const fixtureValue = (t: number, i: number): number => (((i * 7 + t * 3) % 17) - 8) / 4;

/** All elements of tensor `t`, row-major. */
export function fixtureValues(t: number): Float32Array<ArrayBuffer> {
  const count = fixtureTensors[t].shape.reduce<number>((product, size) => product * size, 1);
  return Float32Array.from({ length: count }, (_, i) => fixtureValue(t, i));
}

/** bfloat16 bits of values that it holds exactly. */
export function bf16Bits(values: Float32Array): Uint16Array {
  const bits = new Uint32Array(values.buffer, values.byteOffset, values.length);
  return Uint16Array.from(bits, (word) => word >>> 16);
}

const bytesOf = (array: Float32Array | Uint16Array): Uint8Array =>
  new Uint8Array(array.buffer, array.byteOffset, array.byteLength);

function storageOf(key: number, kind: 'Float' | 'BFloat16', values: Float32Array): Storage {
  const bytes = bytesOf(kind === 'Float' ? values : bf16Bits(values));
  return { key: String(key), kind, bytes, count: values.length };
}

function plainTensors(kind: 'Float' | 'BFloat16'): Tensor[] {
  return fixtureTensors.map(({ name, shape }, t) => ({
    name,
    storage: storageOf(t, kind, fixtureValues(t)),
    offset: 0,
    shape,
    strides: rowMajor(shape),
  }));
}

/** The same tensors, two of them in one storage after five numbers, and one stored transposed. */
function viewTensors(): Tensor[] {
  const tensors = plainTensors('BFloat16');
  const shared = storageOf(
    1,
    'BFloat16',
    Float32Array.of(9, 9, 9, 9, 9, ...fixtureValues(1), ...fixtureValues(2)),
  );
  tensors[1] = { ...tensors[1], storage: shared, offset: 5 };
  tensors[2] = { ...tensors[2], storage: shared, offset: 9 };
  const [rows, columns] = fixtureTensors[4].shape;
  const transposed = Float32Array.from({ length: rows * columns }, (_, i) =>
    fixtureValue(4, (i % rows) * columns + Math.floor(i / rows)),
  );
  tensors[4] = { ...tensors[4], storage: storageOf(4, 'BFloat16', transposed), strides: [1, rows] };
  return tensors;
}

const storagesOf = (tensors: readonly Tensor[]): Storage[] => [
  ...new Set(tensors.map(({ storage }) => storage)),
];

/** Every fixture file by name. */
export function fixtureFiles(): Map<string, Uint8Array> {
  const bf16 = plainTensors('BFloat16');
  const f32 = plainTensors('Float');
  const views = viewTensors();
  const safetensors = fixtureTensors.map(({ name, shape }, t) => ({
    name,
    shape,
    dtype: 'f32' as const,
    data: fixtureValues(t),
  }));
  return new Map([
    ['model.pth', torchZip(stateDict(bf16), storagesOf(bf16), { folder: 'model' })],
    [
      'model.legacy.pth',
      torchLegacy(stateDict(f32, { ordered: true, legacy: true }), storagesOf(f32)),
    ],
    ['model.views.pth', torchZip(stateDict(views, { ordered: true }), storagesOf(views))],
    ['model.safetensors', encodeSafetensors(safetensors, new Map([['format', 'pt']]))],
  ]);
}
