import { blockFormats, encodeSafetensors } from '../src/index.ts';
import { ggufFile } from './gguf-writer.ts';
import { rwkvCppFile } from './rwkv-cpp-writer.ts';
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

/** Bytes of blocks: any are, but for those of the scales, which are kept finite. */
const blockBytes = (blocks: number, name: string): Uint8Array =>
  Uint8Array.from(
    { length: blocks * (blockFormats.get(name)?.bytes ?? 0) },
    (_, i) => (i * 29) & 0x3f,
  );

/** Files with quantised tensors and a vocabulary, by name. Not in the repository: their values are noise. */
export function quantisedFiles(): Map<string, Uint8Array> {
  const norm = {
    name: 'blocks.0.ln1.weight',
    type: 0,
    shape: [4],
    bytes: bytesOf(fixtureValues(1)),
  };
  const tokens = ['<s>', String.raw`\n`, 'a'];
  return new Map([
    [
      'model.gguf',
      ggufFile(
        [
          norm,
          { name: 'emb.weight', type: 8, shape: [2, 64], bytes: blockBytes(4, 'Q8_0') },
          { name: 'head.weight', type: 12, shape: [1, 256], bytes: blockBytes(1, 'Q4_K') },
        ],
        {
          metadata: {
            'general.architecture': { type: 'string', value: 'rwkv7' },
            'rwkv7.attention.layer_norm_epsilon': { type: 'f32', value: 1e-5 },
            'rwkv7.block_count': { type: 'u32', value: 1 },
            'tokenizer.ggml.model': { type: 'string', value: 'rwkv' },
            'tokenizer.ggml.tokens': { type: 'list', of: 'string', values: tokens },
            'tokenizer.ggml.token_type': { type: 'list', of: 'i32', values: [3, 1, 1] },
          },
        },
      ),
    ],
    [
      'model.bin',
      rwkvCppFile([
        norm,
        { name: 'emb.weight', type: 8, shape: [2, 32], bytes: blockBytes(2, 'Q5_1') },
        { name: 'head.weight', type: 15, shape: [1, 256], bytes: blockBytes(1, 'Q6_K') },
      ]),
    ],
  ]);
}

/** The tensors of model.safetensors in two files, with their index; by name. */
export function shardedFiles(): Map<string, Uint8Array> {
  const names = ['model-00001-of-00002.safetensors', 'model-00002-of-00002.safetensors'];
  const weightMap: Record<string, string> = {};
  const files = new Map<string, Uint8Array>();
  names.forEach((file, part) => {
    const tensors = fixtureTensors.flatMap(({ name, shape }, t) =>
      t % 2 === part ? [{ name, shape, dtype: 'f32' as const, data: fixtureValues(t) }] : [],
    );
    for (const { name } of tensors) weightMap[name] = file;
    files.set(file, encodeSafetensors(tensors));
  });
  const index = JSON.stringify({ metadata: { total_size: 276 }, weight_map: weightMap });
  return files.set('model.safetensors.index.json', new TextEncoder().encode(index));
}
