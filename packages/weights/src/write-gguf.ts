import {
  convert,
  elementCount,
  FormatError,
  isPacked,
  unpack,
  UsageError,
  viewBytes,
  type WeightSource,
} from '@rwkv-js/tensor';
import { blockEncodings } from './blocks/block-formats.ts';
import type { BlockEncoding } from './blocks/block-format.ts';
import { ggufRecipe, type GgufPart, type GgufRecipe } from './gguf-recipe.ts';
import { ggufTokens } from './gguf-tokens.ts';
import { layoutGguf, padded, type GgufValue } from './gguf-write.ts';
import { writeParts, type WriteOptions } from './write-parts.ts';

/** What the matrices of a GGUF file can be written in. */
export const ggufWriteTypes = [
  'F32',
  'F16',
  'BF16',
  'Q8_0',
  'Q5_1',
  'Q5_0',
  'Q4_1',
  'Q4_0',
] as const;

export type GgufWriteType = (typeof ggufWriteTypes)[number];

/** Numbers of the types in ggml, and of whole files of them. specs/rwkv.md §4.7 */
const numbers: Readonly<Record<GgufWriteType, { readonly type: number; readonly file: number }>> = {
  F32: { type: 0, file: 0 },
  F16: { type: 1, file: 1 },
  Q4_0: { type: 2, file: 2 },
  Q4_1: { type: 3, file: 3 },
  Q5_0: { type: 6, file: 8 },
  Q5_1: { type: 7, file: 9 },
  Q8_0: { type: 8, file: 7 },
  BF16: { type: 30, file: 32 },
};

export interface WriteGgufOptions extends WriteOptions {
  /** What the matrices are written in; vectors are F32 and low-rank factors F16 at least. */
  readonly type: GgufWriteType;
  /** What the file calls the model. */
  readonly name?: string | undefined;
  /**
   * The bytes of every token by its id, undefined where an id stands for no text. Without it the file
   * holds no vocabulary, and llama.cpp wants one.
   */
  readonly vocabulary?: readonly (Uint8Array | undefined)[] | undefined;
}

/**
 * Writes an RWKV-6 or 7 model with official names as a GGUF file that llama.cpp runs. One tensor at a
 * time is in memory; resumable, and visible only when whole, as `writeParts` says. Node only.
 *
 * @throws UsageError when the path cannot be written, or for a vocabulary with more ids than the model
 * has; FormatError for a model that llama.cpp does not run; AbortError; what reading the source throws.
 */
export async function writeGguf(
  path: string,
  source: WeightSource,
  { type, name, vocabulary, ...options }: WriteGgufOptions,
): Promise<void> {
  checkEpsilon(source);
  const recipe = ggufRecipe(source);
  const metadata = new Map<string, GgufValue>([
    ...metadataOf(recipe, type, name ?? bareName(source.label)),
    ...(vocabulary ? ggufTokens(vocabulary, recipe.vocabularySize) : []),
  ]);
  const parts = new Map(recipe.parts.map((part) => [part.name, part]));
  const layout = layoutGguf(
    metadata,
    recipe.parts.map((part) => {
      const chosen = typeOf(part, type);
      const bytes = bytesOf(part, chosen);
      return { name: part.name, type: numbers[chosen].type, shape: part.shape, bytes };
    }),
  );
  const make = async (of: string): Promise<Uint8Array> => {
    const part = parts.get(of)!;
    const values = await valuesOf(part, source, options.signal);
    return padded(encode(values, typeOf(part, type), part));
  };
  await writeParts(path, layout, make, options);
}

/** The name of a file without its folders and ending. */
function bareName(label: string): string {
  return label.replace(/^.*[\\/]/, '').replace(/\.\w+$/, '');
}

/** llama.cpp has the official epsilon of the heads' normalisation built in. */
function checkEpsilon({ metadata, label }: WeightSource): void {
  const epsilon = metadata.get('group_norm_epsilon');
  if (epsilon === undefined || Math.fround(Number(epsilon)) === Math.fround(64e-5)) return;
  throw new FormatError(
    `Writing ${label} as GGUF: the epsilon of its heads' normalisation is ${epsilon}, and llama.cpp ` +
      'computes with 0.00064; write it as safetensors.',
  );
}

function metadataOf(
  recipe: GgufRecipe,
  type: GgufWriteType,
  name: string,
): readonly (readonly [string, GgufValue])[] {
  const { architecture } = recipe;
  const u32 = (value: number): GgufValue => ({ type: 'u32', value });
  return [
    ['general.architecture', { type: 'string', value: architecture }],
    ['general.name', { type: 'string', value: name }],
    ['general.file_type', u32(numbers[type].file)],
    ['general.quantization_version', u32(2)],
    // RWKV has no limit; converters write this number.
    [`${architecture}.context_length`, u32(1_048_576)],
    [`${architecture}.embedding_length`, u32(recipe.width)],
    [`${architecture}.block_count`, u32(recipe.layers)],
    [`${architecture}.feed_forward_length`, u32(recipe.feedForwardWidth)],
    [`${architecture}.attention.head_count`, u32(0)],
    [`${architecture}.attention.layer_norm_epsilon`, { type: 'f32', value: 1e-5 }],
    [`${architecture}.wkv.head_size`, u32(recipe.headSize)],
    ...Object.entries(recipe.numbers).map(
      ([key, value]) => [`${architecture}.${key}`, u32(value)] as const,
    ),
  ];
}

/** The type of a tensor, given that of the file's matrices. */
function typeOf({ kind, shape }: GgufPart, type: GgufWriteType): GgufWriteType {
  if (kind === 'vector') return 'F32';
  if (kind === 'factor') return type === 'F32' ? 'F32' : 'F16';
  const encoding = encodingOf(type);
  return encoding && shape.at(-1)! % encoding.elements !== 0 ? 'F16' : type;
}

function encodingOf(type: GgufWriteType): BlockEncoding | undefined {
  return blockEncodings.find(({ name }) => name === type);
}

function bytesOf({ shape }: GgufPart, type: GgufWriteType): number {
  const count = elementCount(shape);
  const encoding = encodingOf(type);
  if (encoding) return (count / encoding.elements) * encoding.bytes;
  return count * (type === 'F32' ? 4 : 2);
}

async function valuesOf(
  { from, make, shape, name }: GgufPart,
  source: WeightSource,
  signal: AbortSignal | undefined,
): Promise<Float32Array> {
  const parts: Float32Array[] = [];
  for (const official of from) parts.push(await readFloats(source, official, signal));
  const values = make ? make(parts) : joined(parts);
  if (values.length === elementCount(shape)) return values;
  throw new FormatError(
    `Writing ${source.label} as GGUF: ${from.join(', ')} have ${values.length} numbers, and ${name} ` +
      `has [${shape.join(', ')}]; the model's tensors contradict each other.`,
  );
}

async function readFloats(
  source: WeightSource,
  name: string,
  signal: AbortSignal | undefined,
): Promise<Float32Array> {
  const entry = source.tensors.get(name);
  if (!entry) {
    throw new FormatError(
      `Writing ${source.label} as GGUF: it has no tensor '${name}'; the model is not whole.`,
    );
  }
  const { dtype, shape } = entry;
  const bytes = await source.read(name, { signal });
  if (isPacked(dtype)) return unpack({ dtype, shape }, bytes);
  const wide = convert(viewBytes(dtype, bytes), dtype, 'f32');
  if (wide instanceof Float32Array) return wide;
  throw new FormatError(`Writing ${source.label} as GGUF: '${name}' holds no real numbers.`);
}

function joined(parts: readonly Float32Array[]): Float32Array {
  if (parts.length === 1) return parts[0]!;
  const all = new Float32Array(parts.reduce((sum, { length }) => sum + length, 0));
  let at = 0;
  for (const part of parts) {
    all.set(part, at);
    at += part.length;
  }
  return all;
}

function encode(values: Float32Array, type: GgufWriteType, { name }: GgufPart): Uint8Array {
  const bad = values.findIndex((value) => !Number.isFinite(value));
  if (bad >= 0) {
    throw new FormatError(`Writing GGUF: element ${bad} of ${name} is not a finite number.`);
  }
  const encoding = encodingOf(type);
  if (encoding) {
    const blocks = new Uint8Array((values.length / encoding.elements) * encoding.bytes);
    encoding.encode(values, blocks);
    return blocks;
  }
  const dtype = ({ F32: 'f32', F16: 'f16', BF16: 'bf16' } as const)[type as 'F32' | 'F16' | 'BF16'];
  const data = convert(values, 'f32', dtype);
  if (dtype === 'f16' && (data as Uint16Array).some((bits) => (bits & 0x7c00) === 0x7c00)) {
    throw new UsageError(`Writing GGUF: ${name} has numbers too large for F16; write BF16 or F32.`);
  }
  return new Uint8Array(data.buffer, data.byteOffset, data.byteLength);
}
